"""What people are told of workers that did not come: those without a place, and those that were still starting."""

from collections.abc import Mapping

Missing = Mapping[int, bool]
"""Worker -> whether it had a place, and was starting."""


def not_come(workers: int, missing: Missing, patience: float, starting: float, total: Mapping[str, float]) -> str:
    """Why a fleet of so many workers cannot begin. patience, starting: seconds waited for a place, and for a start.
    total: the cluster's resources by name."""
    slow, said = sum(missing.values()), []
    if placeless := len(missing) - slow:
        said.append(
            f"Of {workers} workers, {placeless} found no free place within {patience:.0f} seconds. "
            f"The cluster has {total.get('CPU', 0):.0f} CPUs and {total.get('GPU', 0):.0f} GPUs in all. "
            "Ask for fewer workers, or wait until its machines have joined and nothing else holds them."
        )
    if slow:
        said.append(f"Of {workers} workers, {slow} {_slowly(starting)}, or ask for fewer workers.")
    return " ".join(said)


def none_left(missing: Missing, patience: float, starting: float) -> str:
    """Why a fleet whose every worker was lost cannot go on."""
    if any(missing.values()):
        return f"Every worker is lost, and new ones {_slowly(starting)}, and resume the run."
    return (
        f"Every worker is lost and the cluster had no place for a new one within {patience:.0f} seconds. "
        "Resume the run when machines are back."
    )


def _slowly(starting: float) -> str:
    return (
        f"had a place and were still starting after {starting:g} seconds, as on a busy machine, or where its packages "
        f"lie on a slow file system. Give them longer (ensemble.start_seconds, now {starting:g})"
    )
