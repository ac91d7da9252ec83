"""Names of the axes of every variable."""

from collections.abc import Mapping, Sequence

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro.axes import Layout

Dims = tuple[str, ...]


def all_dims(layouts: Mapping[str, Layout], given: Mapping[str, Dims], others: Sequence[str]) -> dict[str, Dims]:
    """Dims of every array: the plates, then the names given or `<name>_dim_<i>`; of others, the names given."""
    dims = {}
    for name, layout in layouts.items():
        names = given.get(name, ())
        events = len(layout.shape) - len(layout.plates)
        if names and len(names) not in (events, len(layout.shape)):
            raise ModelError(
                f"dims of {name!r} are {names}, but it has {len(layout.plates)} plates {layout.plates} and {events} "
                "other axes: name the other axes, or all of them"
            )
        whole = names and len(names) == len(layout.shape) and len(names) != events
        rest = names or tuple(f"{name}_dim_{i}" for i in range(events))
        dims[name] = names if whole else (*layout.plates, *rest)
    if unknown := sorted(set(given) - set(layouts) - set(others)):
        raise ModelError(f"dims are given for {unknown}, which are no variables; those are {sorted(layouts)}")
    return dims | {name: given[name] for name in others if name in given}
