"""What the coordinator needs to know of a run's settings: plain numbers, the same on every machine."""

from typing import NamedTuple

from ensemble.shard.runner import ShardSettings


class RunSettings(NamedTuple):
    """shard: what the runners know. superchains: shards, one superchain each. sweeps: of a round.

    scout_rounds, equilibrate_rounds: at most; refine_rounds: of `equilibrate` after the ensemble settled.
    thin: rounds between stored draws; max_draws: draws a chain that the store's budget allows. check_rounds: rounds
    between commits, and between goal checks in stage `sample`. rhat: limit over all coordinates.
    limit_seconds: None for no limit. scout_depth: doublings of a NUTS trajectory at most in `scout`; jitter: half the
    range of the factor on HMC's trajectories once the ensemble has settled. adapt_temperatures: those between the ends,
    in `equilibrate`.
    """

    shard: ShardSettings
    superchains: int
    sweeps: int
    scouting: bool
    scout_rounds: int
    equilibrate_rounds: int
    refine_rounds: int
    burn_rounds: int
    thin: int
    max_draws: int
    check_rounds: int
    ess: float
    rhat: float
    shared_ess: float
    shared_rhat: float
    draws: int
    limit_sweeps: int
    limit_seconds: float | None
    scout_depth: int
    jitter: float
    adapt_temperatures: bool

    @property
    def replicas(self) -> int:
        """Cold replicas in all."""
        return self.superchains * self.shard.replicas
