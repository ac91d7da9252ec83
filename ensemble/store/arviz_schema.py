"""The attributes that ArviZ's schema asks for, named and spelled as the converters of ArviZ 1 write them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

LIBRARY = "maxwell"
SAMPLE_DIMS = ["chain", "draw"]
SAMPLING_TIME = "sampling_time"
NAMES = (
    "created_at",
    "creation_library",
    "creation_library_version",
    "creation_library_language",
    "inference_library",
    "inference_library_version",
    "sample_dims",
    SAMPLING_TIME,
)
"""At the root of a store; a run may have no attributes of these names."""


def now() -> str:
    """The time as ISO 8601, in UTC."""
    return datetime.now(UTC).isoformat()


def schema_attributes(run: Mapping[str, Any], created_at: str, *, sampled: bool) -> dict[str, Any]:
    """The attributes of a group, or of the root, that is made now.

    run: the attributes of the run; its versions tell ours, which is left out where they do not. created_at: ISO time.
    sampled: whether variables have the dimensions (chain, draw), as the root and all groups but data do.
    """
    known = (run.get("versions") or {}).get(LIBRARY)
    found: dict[str, Any] = {"created_at": created_at}
    for role in ("creation_library", "inference_library"):
        found |= {role: LIBRARY} | ({} if known is None else {f"{role}_version": known})
    return found | {"creation_library_language": "Python", "sample_dims": list(SAMPLE_DIMS) if sampled else []}


def sampling_time(run: Mapping[str, Any]) -> dict[str, float]:
    """The seconds that the run has taken, over all its sittings, as far as its attributes tell."""
    seconds = (run.get("summary") or {}).get("wall_seconds")
    return {} if seconds is None else {SAMPLING_TIME: float(seconds)}
