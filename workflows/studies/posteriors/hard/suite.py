"""The table of the hard posteriors."""

from workflows.studies.posteriors.hard.funnels import FUNNELS
from workflows.studies.posteriors.hard.hard import Hard
from workflows.studies.posteriors.hard.modes import MODES
from workflows.studies.posteriors.hard.scales import SCALES
from workflows.studies.posteriors.hard.strays import STRAYS

SUITE: tuple[Hard, ...] = (*FUNNELS, *MODES, *STRAYS, *SCALES)


def hard(name: str) -> Hard:
    """The posterior of that name. Raises ValueError for names that the suite does not have."""
    for entry in SUITE:
        if entry.name == name:
            return entry
    raise ValueError(f"there is no hard posterior {name!r}; there are {', '.join(entry.name for entry in SUITE)}")
