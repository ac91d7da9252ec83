"""What the coordinator needs to know of a run's settings: plain numbers, the same on every machine."""

from typing import NamedTuple

from ensemble.shard.settings import ShardSettings


class StageSettings(NamedTuple):
    """How long the stages last, in rounds.

    scouts: whether the run begins with `scout`.
    scout_rounds: of `scout`, at most.
    equilibrate_rounds: of `equilibrate`, at most.
    refine_rounds: of `equilibrate` after the ensemble settled.
    burn_rounds: of `sample` before the first that counts.
    """

    scouts: bool
    scout_rounds: int
    equilibrate_rounds: int
    refine_rounds: int
    burn_rounds: int


class RecordSettings(NamedTuple):
    """What is kept, and how often.

    thin: rounds between stored draws.
    max_draws: draws a chain that the store's budget allows.
    check_rounds: rounds between commits, and between goal checks in stage `sample`.
    commit_seconds: between commits at least, so that a model of short rounds does not spend its time on them.
    """

    thin: int
    max_draws: int
    check_rounds: int
    commit_seconds: float = 0.0


class Goals(NamedTuple):
    """What must be reached before a run is done.

    ess: smallest effective sample size of any coordinate.
    rhat: largest nested R-hat of any coordinate.
    shared_ess: as ess, of the shared coordinates.
    shared_rhat: as rhat, of the shared coordinates.
    draws: stored draws a chain.
    of_draws: whether effective sample sizes are those of the stored draws, and not of all sweeps.
    """

    ess: float
    rhat: float
    shared_ess: float
    shared_rhat: float
    draws: int
    of_draws: bool = True


class Limits(NamedTuple):
    """What ends a run whose goals are not met.

    sweeps: of the whole run.
    seconds: wall time of all its sittings, None for no limit.
    """

    sweeps: int
    seconds: float | None


class TrajectorySettings(NamedTuple):
    """How long trajectories are.

    scout_depth: doublings of a NUTS trajectory in `scout`, at most.
    jitter: half the range of the factor on HMC's trajectories once the ensemble has settled.
    """

    scout_depth: int
    jitter: float


class RunSettings(NamedTuple):
    """All of them.

    shard: what the runners know.
    superchains: shards, one superchain each.
    sweeps: of a round.
    adapt_temperatures: whether those between the ends of the ladder do, in `equilibrate`.
    stages: their lengths.
    record: what is kept.
    goals: what must be reached.
    limits: what ends the run otherwise.
    trajectories: their lengths.
    """

    shard: ShardSettings
    superchains: int
    sweeps: int
    adapt_temperatures: bool
    stages: StageSettings
    record: RecordSettings
    goals: Goals
    limits: Limits
    trajectories: TrajectorySettings

    @property
    def replicas(self) -> int:
        """Cold replicas in all."""
        return self.superchains * self.shard.replicas
