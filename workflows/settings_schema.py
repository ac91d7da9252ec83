"""The settings of a run: every section and key, its default, what is allowed and what it means."""

import math
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    field_validator,
)
from pydantic_core.core_schema import ValidationInfo

from workflows.settings_errors import WrongKey, explain, section_of


def _whole(value: Any) -> Any:
    """1e5 is a float in YAML and in Python, and a whole number to people."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Natural = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
AboveOne = Annotated[float, Field(gt=1)]

COUNT = "a whole number from 1"
POSITIVE = "a number above 0"
NOT_NEGATIVE = "a number from 0"
ABOVE_ONE = "a number above 1"


def _temperature(value: Any) -> Any:
    """Infinity as text: JSON has no number for it."""
    return math.inf if isinstance(value, str) and value.strip().lower() in ("inf", ".inf") else value


Temperature = Annotated[
    float,
    Field(allow_inf_nan=True),
    BeforeValidator(_temperature),
    PlainSerializer(lambda value: "inf" if math.isinf(value) else value, when_used="json"),
]


def _finite_unless_prior(temperature: float, info: ValidationInfo) -> None:
    """An infinite temperature is the prior, where the likelihood alone is tempered; else it is no density."""
    if math.isinf(temperature) and info.data.get("tempers") == "density":
        raise ValueError("an infinite temperature is the prior: set tempering.tempers=likelihood, or end below it")


def _key(default: Any, allowed: str, meaning: str) -> Any:
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed})


class Section(BaseModel):
    """A group of keys: read-only, unknown keys refused, no silent conversion, cross-checks on defaults too."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)


class ModelSettings(Section):
    """What is sampled; the model itself checks its own keys."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(
        min_length=1,
        description="the model that is sampled",
        json_schema_extra={"allowed": "a name that `maxwell models` lists, or your own model as module:function"},
    )

    @property
    def keys(self) -> dict[str, Any]:
        """The keys that belong to the model."""
        return dict(self.model_extra or {})


class EnsembleSettings(Section):
    """How many chains there are, and where they run."""

    replicas: Count = _key(32, COUNT, "cold replicas, that is chains in all")
    superchains: Annotated[int, BeforeValidator(_whole), Field(ge=2)] = _key(
        8, "a whole number from 2 that divides ensemble.replicas", "groups of replicas with a common dispersed start"
    )
    workers: Literal["auto"] | Count = _key(
        "auto", "auto or a whole number from 1, at most ensemble.superchains", "processes; auto: one a core"
    )
    address: str | None = _key(None, "an address of a Ray cluster, or null", "the cluster; null: start one here")

    @field_validator("superchains")
    @classmethod
    def _divides(cls, superchains: int, info: ValidationInfo) -> int:
        replicas = info.data.get("replicas", superchains)
        if replicas % superchains:
            divisors = ", ".join(str(n) for n in range(2, replicas + 1) if replicas % n == 0)
            raise ValueError(
                f"allowed: a divisor of ensemble.replicas ({replicas}) from 2, that is {divisors or 'none'}"
            )
        return superchains

    @field_validator("workers")
    @classmethod
    def _few(cls, workers: str | int, info: ValidationInfo) -> str | int:
        superchains = info.data.get("superchains")
        if isinstance(workers, int) and superchains is not None and workers > superchains:
            raise ValueError(
                f"allowed: auto or 1 to {superchains} (a worker carries one of ensemble.superchains at least)"
            )
        return workers

    def worker_count(self) -> int:
        """The workers asked for; for auto as many as this process has cores, at most one a superchain."""
        if isinstance(self.workers, int):
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, self.superchains)


class RoundSettings(Section):
    """One round: the work between two visits of the coordinator."""

    sweeps: Count = _key(16, COUNT, "sweeps over all levels in a round")


class StartSettings(Section):
    """Where the chains begin, and what is taken over from another run."""

    kind: Literal["prior", "uniform", "given", "pathfinder", "variational"] = _key(
        "prior",
        "prior, uniform, given, pathfinder or variational",
        "what the starts are drawn from, one for each superchain; given: read from start.file",
    )
    radius: Positive = _key(2.0, POSITIVE, "uniform: half the width of the box, in unconstrained units")
    file: str | None = _key(
        None,
        "an .npz file, or null",
        "given: unconstrained arrays by site, each one start, or one a superchain, or one a chain",
    )
    spread: Positive = _key(
        2.0, POSITIVE, "pathfinder, variational: factor on the spread of the draws about the approximation's mean"
    )
    store: str | None = _key(None, "the store of a run of the same model, or null", "the run to start from")
    reuse: Literal["states", "controls", "both"] = _key(
        "both", "states, controls or both", "what is taken over from start.store (controls: metric and step sizes)"
    )

    @field_validator("file")
    @classmethod
    def _read_where_given(cls, file: str | None, info: ValidationInfo) -> str | None:
        kind = info.data.get("kind")
        if kind == "given" and file is None:
            raise ValueError("allowed: an .npz file of starts, as start.kind is given")
        if kind not in ("given", None) and file is not None:
            raise ValueError(f"start.kind is {kind}, which reads no file: set it to given, or leave out start.file")
        return file

    @field_validator("reuse")
    @classmethod
    def _one_source_of_states(cls, reuse: str, info: ValidationInfo) -> str:
        kind, store = info.data.get("kind", "prior"), info.data.get("store")
        if store is not None and reuse != "controls" and kind != "prior":
            raise ValueError(f"states come from start.store or start.kind ({kind}): set controls, or leave one out")
        if store is None and reuse != "both":
            raise ValueError("there is no start.store to take them from: name one, or leave out start.reuse")
        return reuse


class ScoutSettings(Section):
    """The way from the dispersed starts to the typical set; nothing of it is kept as a draw."""

    kernel: Literal["auto", "momentum_diffusion", "short", "none"] = _key(
        "auto",
        "auto, momentum_diffusion, short or none",
        "what moves the replicas; short: the levels' kernels with short trajectories; none: skip the stage; auto: "
        "short where a level follows the gradient, momentum_diffusion elsewhere",
    )
    depth: Count = _key(4, COUNT, "doublings of a trajectory at most, with the kernel short")
    max_rounds: Count = _key(40, COUNT, "rounds after which the stage ends in any case")
    trajectory: Count = _key(10, COUNT, "steps in a trajectory of momentum diffusion")
    directions: Count = _key(1, COUNT, "random directions averaged in one SPSA force")
    step: Positive = _key(0.1, POSITIVE, "step size h, in units of the metric")
    noise: NotNegative = _key(0.1, NOT_NEGATIVE, "sigma, the noise added to the momentum")
    viscosity: NotNegative = _key(0.05, NOT_NEGATIVE, "kappa, how strongly the Hamiltonian is pulled back")
    repeats: Count = _key(16, COUNT, "updates of the shared parameters after each trajectory")
    difference: Positive = _key(0.01, POSITIVE, "c, half the distance between the two points of an SPSA difference")
    hot_start: Positive = _key(1.0, POSITIVE, "factor on the first momentum, to punch through barriers")
    trigger: Positive = _key(10.0, POSITIVE, "change of the Hamiltonian in one step that redraws the momentum")
    delta: Positive = _key(1.0, POSITIVE, "width of the Hamiltonian window in choosing the end point")
    slack: NotNegative = _key(0.3, NOT_NEGATIVE, "error in H forgiven for each unit of log density gained")


class KernelSettings(Section):
    """What updates each level, and how kernels that follow the gradient do it."""

    levels: dict[str, Literal["metropolis", "hmc", "nuts"]] = _key(
        {},
        "a mapping of levels (as `maxwell inspect` lists them), or of whole alone, to metropolis, hmc or nuts",
        "the kernel of a level; whole: all parameters in one block; levels not named: by their structure",
    )
    integrator: Literal["leapfrog", "two_stage"] = _key(
        "leapfrog", "leapfrog or two_stage", "the scheme of the trajectories"
    )
    max_depth: Count = _key(10, COUNT, "doublings of a trajectory at most")
    jitter: Annotated[float, Field(ge=0, lt=1)] = _key(
        0.3, "a number from 0 below 1", "half the range of the quasi-random factor on HMC's trajectories"
    )
    metric: Literal["auto", "dense", "diagonal", "low_rank"] = _key(
        "auto",
        "auto, dense, diagonal or low_rank",
        "form of the pooled metric; auto: dense for up to 16 coordinates, or where the ensemble is large enough",
    )


class EquilibrateSettings(Section):
    """From the typical set to equilibrium, while proposals still adapt."""

    max_rounds: Count = _key(200, COUNT, "rounds after which the stage ends in any case")
    refine_rounds: Count = _key(20, COUNT, "rounds of adaptation once the ensemble has stopped drifting")
    interweaving: bool = _key(True, "true or false", "move scales together with the coordinates that they scale")
    global_repeats: Count = _key(4, COUNT, "updates of the shared parameters in a sweep")


class TemperingSettings(Section):
    """Hot replicas, which carry the cold ones across barriers."""

    swaps: Literal["blocks", "whole"] = _key(
        "blocks",
        "blocks or whole",
        "what two temperatures exchange: blocks of leaf levels, each on its own, with the shared parameters of hot "
        "replicas held at the ensemble's mean; or whole replicas, of which all levels move at every temperature",
    )
    tempers: Literal["density", "likelihood"] = _key(
        "density", "density or likelihood", "what the temperature divides: the whole log density, or the likelihood's"
    )
    temperatures: Annotated[tuple[Temperature, ...], Field(strict=False)] = _key(
        (1.0,),
        "a list of increasing numbers that begins with 1.0; .inf, the prior, may end it if tempering.tempers is "
        "likelihood",
        "the ladder; its first rung is the posterior",
    )
    hottest: Temperature | None = _key(
        None,
        "null, or a number above 1 (or .inf if tempering.tempers is likelihood)",
        "the last temperature of a ladder of tempering.rungs, in place of tempering.temperatures",
    )
    rungs: Annotated[int, BeforeValidator(_whole), Field(ge=2)] | None = _key(
        None, "null, or a whole number from 2", "temperatures from 1 to tempering.hottest, in equal ratios at first"
    )
    adapt: bool = _key(
        True, "true or false", "move the temperatures between the ends in equilibrate until all pairs swap equally"
    )
    stages: Annotated[tuple[Literal["equilibrate", "sample"], ...], Field(strict=False, min_length=1)] = _key(
        ("equilibrate",), "a list of equilibrate, sample or both", "the stages with swaps; sample for several modes"
    )

    @field_validator("temperatures")
    @classmethod
    def _ladder(cls, temperatures: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if not temperatures or temperatures[0] != 1.0:
            raise ValueError("the first temperature must be 1.0, the posterior itself")
        if any(low >= high for low, high in pairwise(temperatures)):
            raise ValueError("the temperatures must increase strictly")
        _finite_unless_prior(temperatures[-1], info)
        return temperatures

    @field_validator("hottest")
    @classmethod
    def _hot(cls, hottest: float | None, info: ValidationInfo) -> float | None:
        if hottest is None:
            return None
        if hottest <= 1.0:
            raise ValueError("the hottest temperature must be above 1.0, the posterior itself")
        if len(info.data.get("temperatures", (1.0,))) > 1:
            raise ValueError("tempering.temperatures lists the ladder already: leave out one of the two")
        _finite_unless_prior(hottest, info)
        return hottest

    @field_validator("rungs")
    @classmethod
    def _between(cls, rungs: int | None, info: ValidationInfo) -> int | None:
        if "hottest" not in info.data:
            return rungs
        if (rungs is None) != (info.data["hottest"] is None):
            raise ValueError("tempering.rungs and tempering.hottest make a ladder together: set both or neither")
        return rungs

    def ladder(self) -> tuple[float, ...]:
        """The temperatures at first: those listed, or in equal ratios; to the prior with betas (k / K)^4, dense where
        the law changes fastest (Xie, Lewis, Fan, Kuo and Chen 2011)."""
        if self.rungs is None or self.hottest is None:
            return self.temperatures
        shares = [rung / (self.rungs - 1) for rung in range(self.rungs)]
        if math.isinf(self.hottest):
            return (*((1.0 - share) ** -4.0 for share in shares[:-1]), math.inf)
        return (*(self.hottest**share for share in shares[:-1]), self.hottest)

    @field_validator("stages")
    @classmethod
    def _once(cls, stages: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(stages)) < len(stages):
            raise ValueError("each stage may stand there once")
        return stages


class SampleSettings(Section):
    """The stage whose draws count; every proposal is frozen in it."""

    burn_rounds: Natural = _key(4, "a whole number from 0", "rounds after the freeze that are not recorded")
    thin: Literal["auto"] | Count = _key(
        "auto", "auto or a whole number from 1", "rounds between stored draws; auto: until they are nearly independent"
    )


class GoalsSettings(Section):
    """When the run is done; every goal must be met."""

    ess: Positive = _key(400, POSITIVE, "effective sample size that every coordinate must reach")
    rhat: Literal["auto"] | AboveOne = _key(
        "auto",
        "auto or " + ABOVE_ONE,
        "limit of nested R-hat over all coordinates; auto: what perfect chains stay below",
    )
    shared_ess: Positive = _key(1000, POSITIVE, "effective sample size of the shared parameters")
    shared_rhat: AboveOne = _key(1.02, ABOVE_ONE, "limit of nested R-hat over the shared parameters")
    draws: Annotated[int, BeforeValidator(_whole), Field(ge=4)] = _key(
        50, "a whole number from 4", "draws stored a chain (ArviZ's bulk-ESS means little below 50)"
    )


class LimitsSettings(Section):
    """When the run stops with goals unmet; it can be resumed with higher limits."""

    sweeps: Count = _key(100_000, COUNT, "sweeps of a replica in all")
    minutes: Positive | None = _key(None, POSITIVE + ", or null", "wall time of all sittings together; null: no limit")


class StoreSettings(Section):
    """What is kept on disk."""

    budget_mb: Positive = _key(450, POSITIVE, "size of the store in megabytes, checkpoints counted")
    commit_rounds: Count = _key(8, COUNT, "rounds between commits: what a crash can cost")
    chains: Literal["all"] | Count = _key(
        "all", "all, or a multiple of ensemble.superchains up to ensemble.replicas", "chains whose draws are stored"
    )


class StructureSettings(Section):
    """How the blocks of the model are found."""

    couplings: Literal["join", "refuse"] = _key("join", "join or refuse", "what to do with blocks that a term ties")


class Settings(Section):
    """All settings of one run."""

    model: ModelSettings
    seed: Natural = _key(0, "a whole number from 0", "the same seed and settings give the same draws, bit for bit")
    ensemble: EnsembleSettings = Field(default_factory=EnsembleSettings)
    round: RoundSettings = Field(default_factory=RoundSettings)
    kernels: KernelSettings = Field(default_factory=KernelSettings)
    start: StartSettings = Field(default_factory=StartSettings)
    scout: ScoutSettings = Field(default_factory=ScoutSettings)
    equilibrate: EquilibrateSettings = Field(default_factory=EquilibrateSettings)
    tempering: TemperingSettings = Field(default_factory=TemperingSettings)
    sample: SampleSettings = Field(default_factory=SampleSettings)
    goals: GoalsSettings = Field(default_factory=GoalsSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    structure: StructureSettings = Field(default_factory=StructureSettings)

    _config_name: str = PrivateAttr(default="run")

    @field_validator("store")
    @classmethod
    def _whole_superchains(cls, store: StoreSettings, info: ValidationInfo) -> StoreSettings:
        ensemble = info.data.get("ensemble")
        if ensemble is None or store.chains == "all":
            return store
        if store.chains % ensemble.superchains or store.chains > ensemble.replicas:
            reason = f"allowed: all, or a multiple of {ensemble.superchains} (ensemble.superchains)"
            raise WrongKey(("store", "chains"), f"{reason} up to {ensemble.replicas} (ensemble.replicas)")
        return store

    @property
    def config_name(self) -> str:
        """The stem of the file that the settings came from."""
        return self._config_name

    @property
    def default_store(self) -> Path:
        """Where the run is stored unless said otherwise."""
        return Path("runs") / f"{self.config_name}.zarr"

    @classmethod
    def checked(cls, content: Mapping[str, Any], name: str) -> tuple[Self | None, list[str]]:
        """The settings in `content`, or None and one sentence for each key at fault."""
        known = {key: {} if value is None and key in SECTIONS else value for key, value in content.items()}
        known.setdefault("model", {})
        try:
            settings = cls.model_validate(known)
        except ValidationError as error:
            return None, explain(cls, known, error)
        settings._config_name = name
        return settings, []


SECTIONS = frozenset(name for name, field in Settings.model_fields.items() if section_of(field))
