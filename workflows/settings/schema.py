"""The settings of a run, all sections together: what is checked across them, and from content to settings or faults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, field_validator
from pydantic_core.core_schema import ValidationInfo

from workflows.settings.errors import WrongKey, explain, section_of
from workflows.settings.fields import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    Count,
    Natural,
    NotNegative,
    Positive,
    Section,
    key,
)
from workflows.settings.sections.ends import GoalsSettings, LimitsSettings
from workflows.settings.sections.ensemble import EnsembleSettings
from workflows.settings.sections.kernels import KernelSettings
from workflows.settings.sections.stages import (
    EquilibrateSettings,
    MomentumDiffusionSettings,
    RoundSettings,
    SampleSettings,
    ScoutSettings,
)
from workflows.settings.sections.start import StartSettings
from workflows.settings.sections.surrogate import SurrogateSettings
from workflows.settings.sections.tempering import TemperingSettings


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


class StoreSettings(Section):
    """What is kept on disk."""

    budget_mb: Positive = key(500, POSITIVE, "size of the store in megabytes, checkpoints counted")
    commit_rounds: Count = key(8, COUNT, "rounds between commits, and between checks of the goals")
    commit_seconds: NotNegative = key(
        1.0, NOT_NEGATIVE, "seconds between commits at least; a crash can cost these, or commit_rounds, if more"
    )
    chains: Literal["all"] | Count = key(
        "all", "all, or a multiple of ensemble.superchains up to ensemble.replicas", "chains whose draws are stored"
    )


class StructureSettings(Section):
    """How the blocks of the model are found."""

    couplings: Literal["join", "refuse"] = key("join", "join or refuse", "what to do with blocks that a term ties")


class Settings(Section):
    """All settings of one run."""

    model: ModelSettings
    seed: Natural = key(0, "a whole number from 0", "the same seed and settings give the same draws, bit for bit")
    ensemble: EnsembleSettings = Field(default_factory=EnsembleSettings)
    round: RoundSettings = Field(default_factory=RoundSettings)
    kernels: KernelSettings = Field(default_factory=KernelSettings)
    surrogate: SurrogateSettings = Field(default_factory=SurrogateSettings)
    start: StartSettings = Field(default_factory=StartSettings)
    scout: ScoutSettings = Field(default_factory=ScoutSettings)
    momentum_diffusion: MomentumDiffusionSettings = Field(default_factory=MomentumDiffusionSettings)
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
        known = {part: {} if value is None and part in SECTIONS else value for part, value in content.items()}
        known.setdefault("model", {})
        try:
            settings = cls.model_validate(known)
        except ValidationError as error:
            return None, explain(cls, known, error)
        settings._config_name = name
        return settings, []


SECTIONS = frozenset(name for name, field in Settings.model_fields.items() if section_of(field))
