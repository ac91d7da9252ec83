"""The table of the run's model."""

from workflows.modelling.registry import entry_of, part
from workflows.results.protocol import StoredRun


def lines(run: StoredRun) -> list[str]:
    """The table of the run's model, one string a line; empty for a model without one, or before there are draws."""
    attributes = run.attributes
    shipped = entry_of(attributes)
    if shipped is None or shipped.table is None or attributes["summary"]["draws"] == 0:
        return []
    table: list[str] = part(shipped.table)(run)
    return table
