"""What the runner of shards needs to know of a run's settings: the same for every shard, and never the workers."""

from typing import Any, NamedTuple

from ensemble.protocol.stages import Stage
from ensemble.shard.scouts import scouts_by_name


class StartSettings(NamedTuple):
    """How the start of a superchain is drawn, see ensemble.shard.starts.

    kind: "prior", "uniform", "pathfinder" or "variational"; "given" where starts are always given.
    radius: of the box of uniform starts, in unconstrained units.
    spread: factor on the deviations of an approximation's draws from its mean.
    descends: whether a start is moved down the slope to the edge of the bulk.
    blockwise: whether blocks are drawn about their modes given what they share, see starts.blockwise.
    """

    kind: str = "prior"
    radius: float = 2.0
    spread: float = 2.0
    descends: bool = False
    blockwise: bool = False


class LadderSettings(NamedTuple):
    """The ladder of temperatures.

    temperatures: of each rung, cold first; where they adapt, those that the run begins with.
    stages: names of the stages in which the hot rungs are used.
    swaps: what changes places, "blocks" or "whole" replicas.
    tempers: what an inverse temperature multiplies, "density" or "likelihood".
    """

    temperatures: tuple[float, ...] = (1.0,)
    stages: tuple[str, ...] = ()
    swaps: str = "blocks"
    tempers: str = "density"


class ShardSettings(NamedTuple):
    """What a runner must know.

    seed: of all random keys of the run.
    replicas: of a shard, at each rung.
    repeats: updates of each level that is no leaf in a sweep.
    stored: how many cold replicas of a shard have their draws stored.
    draws: of each of them in a round, evenly spaced over its sweeps; a divisor of their number.
    shared: sites without plates.
    auxiliary: sites without goals.
    scout: the settings of the scout stage by name.
    start: how starts are drawn.
    ladder: the temperatures.
    """

    seed: int
    replicas: int
    repeats: int
    stored: int
    draws: int
    shared: tuple[str, ...]
    auxiliary: tuple[str, ...]
    scout: dict[str, Any]
    start: StartSettings
    ladder: LadderSettings

    def rungs(self, stage: Stage) -> int:
        """Rungs in use in a stage."""
        return len(self.ladder.temperatures) if stage.name in self.ladder.stages else 1

    def runs_scout(self, stage: Stage) -> bool:
        """Whether a stage runs a scout kernel, and not the levels' own."""
        return stage.scouts and scouts_by_name(self.scout)

    @property
    def swaps_replicas(self) -> bool:
        """Whether whole replicas change places, so that every level moves at every rung."""
        return self.ladder.swaps == "whole"
