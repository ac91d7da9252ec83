"""Settings of the rounds and of the stages through which a run goes: scout, equilibrate, sample."""

from typing import Literal

from pydantic import field_validator
from pydantic_core.core_schema import ValidationInfo

from workflows.settings.fields import COUNT, NOT_NEGATIVE, POSITIVE, Count, Natural, NotNegative, Positive, Section, key


class RoundSettings(Section):
    """One round: the work between two visits of the coordinator."""

    sweeps: Literal["auto"] | Count = key(
        "auto",
        "auto or " + COUNT,
        "sweeps over all levels in a round; auto: 16, or 1 to 4 where a trajectory on one block takes as long as many "
        "of them, by the operations of the model",
    )
    draws: Literal["auto"] | Count = key(
        "auto",
        "auto, or a whole number from 1 that divides round.sweeps",
        "draws stored in a round, evenly spaced over its sweeps; auto: every sweep's where a trajectory moves all "
        "parameters, else that of the last one",
    )

    @field_validator("draws")
    @classmethod
    def _divides(cls, draws: str | int, info: ValidationInfo) -> str | int:
        sweeps = info.data.get("sweeps")
        if isinstance(draws, int) and isinstance(sweeps, int) and sweeps % draws:
            raise ValueError(f"allowed: auto, or a divisor of round.sweeps ({sweeps})")
        if isinstance(draws, int) and draws > 1 and sweeps == "auto":
            raise ValueError("it divides round.sweeps, which is auto: set both, or leave this auto")
        return draws


class ScoutSettings(Section):
    """The way from the dispersed starts to the typical set; nothing of it is kept as a draw."""

    kernel: Literal["auto", "momentum_diffusion", "short", "none"] = key(
        "auto",
        "auto, momentum_diffusion, short or none",
        "what moves the replicas; short: the levels' kernels with short trajectories; none: skip the stage; auto: what "
        "docs/scouts.md recommends, short where a level follows the gradient, momentum_diffusion elsewhere",
    )
    depth: Count = key(5, COUNT, "doublings of a trajectory at most, with the kernel short")
    furthest: Positive = key(
        3.0,
        POSITIVE,
        "standard deviations of the log density below the median from which a replica is put where another one "
        "stands, with the kernel short; 1e9: never",
    )
    max_rounds: Count = key(40, COUNT, "rounds after which the stage ends in any case")


class MomentumDiffusionSettings(Section):
    """Trajectories of the scout kernel momentum_diffusion (approximate; forces by SPSA, without a gradient)."""

    trajectory: Count = key(10, COUNT, "steps in a trajectory of momentum diffusion")
    directions: Count = key(1, COUNT, "random directions averaged in one SPSA force")
    step: Positive = key(0.1, POSITIVE, "step size h, in units of the metric")
    noise: NotNegative = key(0.1, NOT_NEGATIVE, "sigma, the noise added to the momentum")
    viscosity: NotNegative = key(0.05, NOT_NEGATIVE, "kappa, how strongly the Hamiltonian is pulled back")
    repeats: Count = key(16, COUNT, "updates of the shared parameters after each trajectory")
    difference: Positive = key(0.01, POSITIVE, "c, half the distance between the two points of an SPSA difference")
    hot_start: Positive = key(1.0, POSITIVE, "factor on the first momentum, to punch through barriers")
    trigger: Positive = key(10.0, POSITIVE, "change of the Hamiltonian in one step that redraws the momentum")
    delta: Positive = key(1.0, POSITIVE, "width of the Hamiltonian window in choosing the end point")
    slack: NotNegative = key(0.3, NOT_NEGATIVE, "error in H forgiven for each unit of log density gained")


class EquilibrateSettings(Section):
    """From the typical set to equilibrium, while proposals still adapt."""

    max_rounds: Count = key(200, COUNT, "rounds after which the stage ends in any case")
    refine_rounds: Count = key(20, COUNT, "rounds of adaptation once the ensemble has stopped drifting")
    interweaving: bool = key(True, "true or false", "move scales together with the coordinates that they scale")
    global_repeats: Count = key(4, COUNT, "updates of the shared parameters in a sweep")


class SampleSettings(Section):
    """The stage whose draws count; every proposal is frozen in it."""

    burn_rounds: Natural = key(4, "a whole number from 0", "rounds after the freeze that are not recorded")
    thin: Count = key(1, COUNT, "rounds from one stored draw to the next")
