"""Pictures of a model's own, one file a model: `pictures(facts) -> list[Picture]`, called once there are draws.

A new model adds a file here and its line in HOMES.
"""

import importlib
from collections.abc import Callable, Mapping

from workflows.results.report.drawing import Picture
from workflows.results.report.facts import Facts

HOMES: Mapping[str, str] = {
    "airway": "workflows.models.airway.pictures",
    "alcohol": "workflows.models.alcohol.pictures",
    "census": "workflows.models.census.pictures",
    "rri": "workflows.models.rri.pictures",
    "scorpio": "workflows.models.scorpio.pictures",
}
"""Model name -> module with a function `pictures`."""


def own_pictures(facts: Facts) -> list[Picture]:
    """The pictures of the run's model; none for a model without, or before there are draws."""
    home = HOMES.get(str(facts.summary["model"]))
    if home is None or not facts.draws:
        return []
    draw: Callable[[Facts], list[Picture]] = importlib.import_module(home).pictures
    return draw(facts)
