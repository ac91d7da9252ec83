"""A hierarchical normal model of a few groups, with all that the ensemble layer needs to run it."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.run.settings import Goals, Limits, RecordSettings, RunSettings, StageSettings, TrajectorySettings
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.settings import LadderSettings, ShardSettings, StartSettings
from kernels.state import State, evaluate
from kernels.structure.discovery import discover
from kernels.structure.interweaving_discovery import find_interweavings
from kernels.structure.levels import Structure
from kernels.target import Site, Target

GROUPS, REPLICAS, STORED = 5, 3, 2
WIDTHS = {"global": (2, 1), "g": (2, GROUPS)}
"""Coordinates and blocks of each level of the model."""
SCOUT = {
    "kernel": "momentum_diffusion",
    "trajectory": 4,
    "directions": 1,
    "step": 0.1,
    "noise": 0.1,
    "viscosity": 0.1,
    "hot_start": 1.0,
    "trigger": 1e3,
    "delta": 1.0,
    "difference": 0.01,
    "slack": 0.1,
    "repeats": 2,
    "furthest": 3.0,
}


class Model(NamedTuple):
    """A target with its data and what is found of its structure."""

    target: Target
    data: dict[str, np.ndarray]
    spec: SweepSpec

    @property
    def structure(self) -> Structure:
        """What is found of the target."""
        return self.spec.structure


def normal(x, mean, sd):
    """Unsummed normal log density, without its constant."""
    return -0.5 * ((x - mean) / sd) ** 2 - jnp.log(sd)


def log_terms(position, data):
    """Groups with a mean x ~ N(mu, sd) and a slope b ~ N(0, 1); y[time, group] ~ N(x + b time, 0.7)."""
    x, b = position["x"], position["b"]
    return {
        "mu": normal(position["mu"], 0.0, 3.0),
        "log_sd": normal(position["log_sd"], 0.0, 1.0),
        "x": normal(x, position["mu"], jnp.exp(position["log_sd"])),
        "b": normal(b, 0.0, 1.0),
        "y": normal(data["y"], x + b * data["time"][:, None], 0.7),
    }


def constrain(position, data):
    """The variables as they are stored."""
    return {"mu": position["mu"], "sd": jnp.exp(position["log_sd"]), "x": position["x"], "b": position["b"]}


def initial(key, data):
    """A start twice as far out as a standard normal."""
    shapes = {"mu": (), "log_sd": (), "x": (GROUPS,), "b": (GROUPS,)}
    keys = jax.random.split(key, len(shapes))
    return {name: 2 * jax.random.normal(k, shape) for k, (name, shape) in zip(keys, shapes.items(), strict=True)}


def target(log_terms=log_terms, initial=initial) -> Target:
    """The model's target, or one with other terms or starts over the same sites."""
    sites = [Site("mu", ()), Site("log_sd", ()), Site("x", (GROUPS,), ("g",)), Site("b", (GROUPS,), ("g",))]
    kinds = {"mu": "prior", "log_sd": "prior", "x": "prior", "b": "prior", "y": "likelihood"}
    return Target({site.name: site for site in sites}, kinds, log_terms, constrain, initial)


def data() -> dict[str, np.ndarray]:
    """Three observations of every group."""
    rng, time = np.random.default_rng(0), np.array([-1.0, 0.0, 1.0])
    mean = 1 + 0.6 * rng.normal(size=GROUPS) + rng.normal(size=GROUPS) * time[:, None]
    return {"time": time, "y": mean + 0.7 * rng.normal(size=mean.shape)}


@cache
def small() -> Model:
    """The model with its structure: one global block (mu, log_sd) and GROUPS blocks (x, b)."""
    found, values = target(), data()
    key = jax.random.key(0)
    position = found.initial(key, values)
    structure = discover(found, values, position, key=key)
    return Model(found, values, SweepSpec(structure, {}, find_interweavings(found, structure, values, position, key)))


def evaluated(position, structure=None) -> State:
    """The model's states at positions with a leading axis of replicas, [R, ...]; structure: another than its own."""
    model = small()
    found = structure or model.structure
    return jax.vmap(lambda p: evaluate(model.target, found, p, model.data))(position)


def dispersed(rungs, structure=None, replicas=REPLICAS) -> tuple[State, ...]:
    """Starts of the model, another for each replica and rung."""
    model = small()
    keys = [jax.random.split(jax.random.key(rung), replicas) for rung in range(rungs)]
    return tuple(evaluated(jax.vmap(lambda key: model.target.initial(key, model.data))(k), structure) for k in keys)


def changed(settings: Any, changes: dict[str, Any]) -> Any:
    """Settings with some fields changed; a dictionary changes fields of the group of that name."""
    groups = {name: value for name, value in changes.items() if hasattr(getattr(settings, name), "_fields")}
    parts = {
        name: changed(getattr(settings, name), value) if isinstance(value, dict) else value
        for name, value in groups.items()
    }
    return settings._replace(**{**changes, **parts})


def shard_settings(**changes: Any) -> ShardSettings:
    """Three replicas a rung, one rung, two of them stored."""
    settings = ShardSettings(
        seed=0,
        replicas=REPLICAS,
        repeats=2,
        stored=STORED,
        draws=1,
        shared=("mu",),
        auxiliary=(),
        scout=SCOUT,
        start=StartSettings(),
        ladder=LadderSettings(stages=("equilibrate", "sample")),
    )
    return changed(settings, changes)


def run_settings(**changes: Any) -> RunSettings:
    """Four superchains of three replicas; a goal check and a commit every four rounds."""
    settings = RunSettings(
        shard=shard_settings(),
        superchains=4,
        sweeps=4,
        adapt_temperatures=True,
        stages=StageSettings(scouts=True, scout_rounds=20, equilibrate_rounds=50, refine_rounds=10, burn_rounds=2),
        record=RecordSettings(thin=3, max_draws=5, check_rounds=4),
        goals=Goals(ess=400, rhat=1.1, shared_ess=1000, shared_rhat=1.02, draws=4),
        limits=Limits(sweeps=1000, seconds=None),
        trajectories=TrajectorySettings(scout_depth=3, jitter=0.3),
    )
    return changed(settings, changes)


def tuning(temperatures=(1.0,), sweeps=4, replica_swap=False) -> TuningState:
    """The tuning before anything is known."""
    return first_tuning(small().spec, 1 / np.asarray(temperatures), sweeps, replica_swap=replica_swap)
