"""What a model says of its own posterior at the end of a run: tables for people, one file a model."""

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.results.run import Run

ROWS = 10
"""Rows of a table of strongest effects."""
INTERVAL = 0.95

HOMES: Mapping[str, str] = {
    "airway": "workflows.models.airway.table",
    "alcohol": "workflows.models.alcohol.table",
    "bond": "workflows.models.bond.table",
    "census": "workflows.models.census.table",
    "rri": "workflows.models.rri.table",
    "scorpio": "workflows.models.scorpio.table",
}
"""Model name -> module with a function `lines`, imported when there is something to write."""


def lines(run: "Run") -> list[str]:
    """The report of the run's model, one string a line; empty for a model without one, or before there are draws."""
    attributes = run.attributes
    home = HOMES.get(attributes["model"])
    if home is None or attributes["summary"]["draws"] == 0:
        return []
    write: Callable[[Run], list[str]] = importlib.import_module(home).lines
    return write(run)
