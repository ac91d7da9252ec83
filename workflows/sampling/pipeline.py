"""From settings to a finished run: model, structure, fleet, store, coordinator. The Python API of the command line."""

import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.diagnostics.convergence import rhat_limit
from ensemble.errors import MaxwellError, StoreError
from ensemble.fleet.local import Fleet, LocalFleet
from ensemble.protocol.plans import RunnerSpec
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run.coordinator import Coordinator
from ensemble.run.settings import Goals, Limits, RecordSettings, RunSettings, StageSettings, TrajectorySettings
from ensemble.run.sitting import Sitting
from ensemble.run.status import NullProgress, Progress
from ensemble.shard.chain_sums import recorded
from ensemble.shard.keys import run_seed
from ensemble.shard.level_kernels.base import Needs
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.settings import LadderSettings, ShardSettings, StartSettings
from ensemble.store import opening as stores
from ensemble.store.contents import Layout, Variable
from ensemble.store.protocol import RunStore
from kernels.structure.discovery import StructureError, discover
from kernels.structure.interweaving_discovery import find_interweavings
from kernels.structure.joining import ALL_SITES
from kernels.structure.levels import Structure
from kernels.types import Position
from workflows.modelling.errors import ModelError
from workflows.modelling.fingerprint import fingerprint, require_same
from workflows.modelling.model import Model
from workflows.modelling.registry import build
from workflows.results.run import Run
from workflows.sampling import starts
from workflows.sampling.interrupt import StopOnSignal
from workflows.sampling.level_kernels import with_kernels
from workflows.settings.loading import Settings, SettingsError, load_settings, make_settings, resume_settings

PACKAGES = ("maxwell", "jax", "numpy", "ray", "zarr", "xarray", "arviz", "numpyro")
STARTS = 32
"""Starts tried before a model is refused."""
PROBE = 0
"""Seed of the structure's probes: the structure belongs to the model, not to the run's seed."""


class Interrupted(MaxwellError):
    """The user stopped the run; everything up to the last round is committed at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"interrupted; everything so far is kept in {path}: go on with `maxwell resume {path}`")
        self.path = path


def _require_likelihood(settings: Settings, model: Model) -> None:
    """Raise SettingsError where the likelihood alone is to be tempered and the model does not tell it apart."""
    if settings.tempering.tempers == "likelihood" and "likelihood" not in model.target.term_kinds.values():
        raise SettingsError(
            "the settings",
            [
                f"tempering.tempers: given likelihood, but no term of model {model.name!r} is one: use density, or say "
                "which of the model's terms are (function_model has likelihood=...)"
            ],
        )


class Prepared:
    """A model with all that is derived from it and the settings."""

    def __init__(self, settings: Settings, generation: int = 0) -> None:
        """generation: how many runs the run descends from (start.store)."""
        self.settings, self.generation = settings, generation
        self.model: Model = build(settings.model.name, settings.model.keys)
        starts.require_gradient(settings.start.kind, self.model)
        _require_likelihood(settings, self.model)
        target, data = self.model.target, self.model.data
        key = jax.random.key(PROBE)
        position = self._finite_start(key)
        found = self._discover(position, key)
        self.spec: SweepSpec = with_kernels(target, found, settings.kernels, settings.ensemble.replicas)
        if settings.equilibrate.interweaving and ALL_SITES not in settings.kernels.levels:
            moves = find_interweavings(target, found, data, position, key)
            self.spec = self.spec._replace(interweavings=moves)
        self.shared = tuple(name for name, site in target.sites.items() if not site.plates)

    def _finite_start(self, key: jax.Array) -> Position:
        """A start where every term is finite, for the probes to be taken around."""

        def attempt(key: jax.Array, data: Any) -> tuple[Position, dict[str, jax.Array]]:
            position = self.model.target.initial(key, data)
            terms = self.model.target.log_terms(position, data)
            return position, {name: jnp.all(jnp.isfinite(values)) for name, values in terms.items()}

        compiled = jax.jit(attempt)
        for number in range(STARTS):
            position, finite = compiled(jax.random.fold_in(key, number), self.model.data)
            if all(bool(good) for good in finite.values()):
                return position
        wrong = ", ".join(name for name, good in finite.items() if not bool(good))
        raise ModelError(
            f"model {self.model.name!r}: the log density is NaN or infinite at all {STARTS} starts; at the last one "
            f"in these terms: {wrong}. Check them and the supports of their sites, or give starts inside the support."
        )

    def _discover(self, position: Position, key: jax.Array) -> Structure:
        """The model's structure. Raises ModelError where it has none to work with."""
        target, data, couplings = self.model.target, self.model.data, self.settings.structure.couplings
        try:
            return discover(target, data, position, key=key, couplings=couplings)
        except StructureError as error:
            raise ModelError(f"model {self.model.name!r}: {error}") from error

    @property
    def run_settings(self) -> RunSettings:
        """The coordinator's settings. Raises SettingsError where store.budget_mb has no room for goals.draws."""
        s = self.settings
        stored = s.ensemble.replicas if s.store.chains == "all" else s.store.chains
        shard = ShardSettings(
            seed=run_seed(s.seed, self.generation),
            replicas=s.ensemble.replicas // s.ensemble.superchains,
            repeats=s.equilibrate.global_repeats,
            stored=stored // s.ensemble.superchains,
            shared=self.shared,
            auxiliary=tuple(sorted(self.model.target.auxiliary)),
            scout={**s.scout.model_dump(), **s.momentum_diffusion.model_dump(), "kernel": self.scout_kernel},
            start=StartSettings(s.start.kind, s.start.radius, s.start.spread),
            ladder=LadderSettings(
                s.tempering.ladder(), tuple(s.tempering.stages), s.tempering.swaps, s.tempering.tempers
            ),
        )
        limit = rhat_limit(self.model.target.dimension_of_interest, s.goals.ess, s.ensemble.superchains)
        return RunSettings(
            shard=shard,
            superchains=s.ensemble.superchains,
            sweeps=s.round.sweeps,
            adapt_temperatures=s.tempering.adapt,
            stages=StageSettings(
                scouts=self.scout_kernel != "none",
                scout_rounds=s.scout.max_rounds,
                equilibrate_rounds=s.equilibrate.max_rounds,
                refine_rounds=s.equilibrate.refine_rounds,
                burn_rounds=s.sample.burn_rounds,
            ),
            record=RecordSettings(
                thin=s.sample.thin,
                max_draws=self._affordable_draws(shard),
                check_rounds=s.store.commit_rounds,
            ),
            goals=Goals(
                ess=s.goals.ess,
                rhat=limit if s.goals.rhat == "auto" else s.goals.rhat,
                shared_ess=s.goals.shared_ess,
                shared_rhat=s.goals.shared_rhat,
                draws=s.goals.draws,
            ),
            limits=Limits(
                sweeps=s.limits.sweeps,
                seconds=None if s.limits.minutes is None else 60 * s.limits.minutes,
            ),
            trajectories=TrajectorySettings(scout_depth=s.scout.depth, jitter=s.kernels.jitter),
        )

    @property
    def scout_kernel(self) -> str:
        """What the scout stage runs: what the settings say, or what suits the levels' kernels."""
        if self.settings.scout.kernel != "auto":
            return self.settings.scout.kernel
        own = any(kernel.needs != Needs() for kernel in level_kernels(self.spec).values())
        return "short" if own else "momentum_diffusion"

    def _affordable_draws(self, shard: ShardSettings) -> int:
        """Draws a chain that fit into the budget beside two checkpoints: of shapes alone, so that it never changes."""
        goals, store = self.settings.goals, self.settings.store
        coordinates, watched = self.model.target.dimension, self.model.target.dimension_of_interest
        cells = sum(segments.n for segments in self.spec.structure.cells.values())
        superchains = self.settings.ensemble.superchains
        # A replica's position and cells in each rung, its sums, and four batches in float32 that wait for their halves;
        # with the controls, moments and sums over all replicas, as much as three replicas more.
        replica = 8 * (coordinates + cells) * len(shard.ladder.temperatures) + (8 + 4 * 4) * watched
        checkpoint = (superchains * shard.replicas + 3) * replica
        values = sum(int(np.prod(v.shape)) for v in self.variables()["posterior"].values())
        draw = superchains * shard.stored * (4 * values + 24)
        room = int(1e6 * store.budget_mb - 2 * checkpoint) // draw
        if room < goals.draws:
            needed = (2 * checkpoint + goals.draws * draw) / 1e6
            raise SettingsError(
                "the settings",
                [
                    f"store.budget_mb: {store.budget_mb:g} has room for {max(room, 0)} draws a chain, goals.draws is "
                    f"{goals.draws}: allow {needed:.0f} MB, ask for fewer draws, or store fewer chains (store.chains)"
                ],
            )
        return room

    def runner_spec(self, shard: ShardSettings) -> RunnerSpec:
        """How workers build their runner."""
        arguments = {
            "model_factory": "workflows.modelling.registry:build",
            "name": self.settings.model.name,
            "keys": self.settings.model.keys,
            "spec": self.spec,
            "settings": shard,
        }
        return RunnerSpec("ensemble.shard.runner:build", arguments, self.model.data)

    def variables(self) -> dict[str, dict[str, Variable]]:
        """The recorded variables of every group."""
        target, data = self.model.target, self.model.data
        shapes = jax.eval_shape(target.constrain, jax.eval_shape(target.initial, jax.random.key(0), data), data)
        posterior = {
            name: Variable("float32", tuple(self.model.dims.get(name, ())), tuple(s.shape))
            for name, s in shapes.items()
        }
        stats = {"lp": Variable("float64"), "replica": Variable("int64")}
        stats |= {name: Variable(dtype.name) for name, dtype in recorded(self.spec).items()}
        groups = {"posterior": posterior, "sample_stats": stats, "warmup_sample_stats": stats}
        if self.shared:
            groups["warmup_posterior"] = {name: posterior[name] for name in self.shared}
        return groups

    def layout(self, shard: ShardSettings, chunk_draws: int) -> Layout:
        """The arrays of the store."""
        dims = self.model.dims
        static = {
            group: {name: (tuple(dims.get(name, ())), np.asarray(values)) for name, values in arrays.items()}
            for group, arrays in (("observed_data", self.model.observed), ("constant_data", self.model.constant))
            if arrays
        }
        groups = self.variables()
        used = {dim for variables in groups.values() for variable in variables.values() for dim in variable.dims}
        used |= {dim for arrays in static.values() for names, _ in arrays.values() for dim in names}
        coords = {dim: labels for dim, labels in self.model.coords.items() if dim in used}
        return Layout(groups, shard.stored, self.settings.ensemble.superchains, chunk_draws, coords, static)


def run(
    config: str | Path | Mapping[str, Any] | Settings,
    overrides: Iterable[str] = (),
    out: str | Path | None = None,
    local: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Sample a model and store the run at `out` (by default runs/<config name>.zarr).

    config: a YAML file, the name of a shipped config, a nested dictionary, or Settings. local: in this process,
    without Ray. Raises MaxwellError for bad input and Interrupted after Ctrl-C.
    """
    settings = _settings(config, overrides)
    path = Path(out) if out is not None else settings.default_store
    if path.exists():
        raise StoreError(
            f"{path} exists already. Go on with it by `maxwell resume {path}`, or name another store with --out."
        )
    prepared = Prepared(settings, starts.generation(settings.start))
    run_settings = prepared.run_settings
    shard = run_settings.shard
    begin = starts.beginning(settings, prepared.model, shard)
    with _fleet(prepared.runner_spec(shard), settings, local) as fleet:
        fleet.initialise(begin.starts)
        layout = prepared.layout(shard, min(settings.store.commit_rounds, run_settings.record.max_draws))
        with stores.create(path, layout, _attributes(prepared)) as store:
            coordinator = _coordinator(fleet, store, prepared, run_settings, progress)
            coordinator.start(begin.handover)
            return _drive(coordinator, path)


def resume(
    store: str | Path, overrides: Iterable[str] = (), local: bool = False, progress: Progress | None = None
) -> Run:
    """Go on with a stored run, with other goals, limits or workers: the draws are those of one uninterrupted run."""
    path, shown = Path(store), progress or NullProgress()
    attributes = stores.reader(path).attributes
    settings = resume_settings(attributes["settings"], overrides, name=path.stem)
    prepared = Prepared(settings, attributes.get(starts.GENERATION, 0))
    require_same(attributes["fingerprint"], prepared.model)
    with stores.reopen(path) as opened:
        for line in _changed_versions(attributes["versions"]):
            shown.message(line)
        run_settings = prepared.run_settings
        with _fleet(prepared.runner_spec(run_settings.shard), settings, local) as fleet:
            changed = {"settings": settings.model_dump(mode="json"), "resumed_with": _versions()}
            coordinator = _coordinator(fleet, opened, prepared, run_settings, progress, changed)
            coordinator.resume()
            return _drive(coordinator, path)


def open_run(store: str | Path) -> Run:
    """A stored run, finished or still going."""
    return Run(store)


def _settings(config: str | Path | Mapping[str, Any] | Settings, overrides: Iterable[str]) -> Settings:
    if isinstance(config, Settings):
        return make_settings(config.model_dump(mode="json"), overrides, name=config.config_name)
    if isinstance(config, Mapping):
        return make_settings(config, overrides)
    return load_settings(Path(config), overrides)


@contextmanager
def _fleet(spec: RunnerSpec, settings: Settings, local: bool) -> Iterator[Fleet]:
    """The shards' carrier, released at the end whatever happens."""
    fleet = _started(spec, settings, local)
    try:
        yield fleet
    finally:
        fleet.close()


def _started(spec: RunnerSpec, settings: Settings, local: bool) -> Fleet:
    if local:
        return LocalFleet(spec, settings.ensemble.superchains)
    from ensemble.fleet.ray_fleet import RayFleet  # Ray takes seconds to import: not for --local

    return RayFleet(spec, settings.ensemble.superchains, settings.ensemble.worker_count(), settings.ensemble.address)


def _coordinator(
    fleet: Fleet,
    store: RunStore,
    prepared: Prepared,
    settings: RunSettings,
    progress: Progress | None,
    attributes: Mapping[str, Any] = MappingProxyType({}),
) -> Coordinator:
    shown = progress or NullProgress()
    for sentence in prepared.spec.structure.joined:
        shown.message(sentence)
    sitting = Sitting(shown, attributes=attributes)
    return Coordinator(fleet, store, prepared.spec, settings, sitting)


def _drive(coordinator: Coordinator, path: Path) -> Run:
    """Run to the end; the first Ctrl-C (or SIGTERM) stops after the round, the second at once."""
    with StopOnSignal() as signal:
        coordinator.sitting = coordinator.sitting._replace(stop_requested=signal.received)
        outcome = coordinator.run()
    if outcome.interrupted and not outcome.done:
        raise Interrupted(path)
    return Run(path)


def _attributes(prepared: Prepared) -> dict[str, Any]:
    settings = prepared.settings
    return {
        "model": settings.model.name,
        "seed": settings.seed,
        starts.GENERATION: prepared.generation,
        "settings": settings.model_dump(mode="json"),
        "config_name": settings.config_name,
        "fingerprint": fingerprint(prepared.model),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """What the bits of a run depend on, and the versions of what wrote it."""
    found = {}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return {**found, "python": platform.python_version(), "backend": jax.default_backend(), "cpu": _cpu()}


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _changed_versions(before: Mapping[str, str]) -> list[str]:
    """One sentence for each thing on which bits depend that is not what the run began with."""
    now = _versions()
    return [
        f"{name} was {before.get(name)} when the run began and is {now.get(name)} now: "
        "the draws go on, but not bit for bit as they would have"
        for name in ("jax", "backend", "cpu")
        if before.get(name) != now.get(name)
    ]
