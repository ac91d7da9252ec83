"""The pictures of the run's model."""

from workflows.modelling.registry import entry_of, part
from workflows.results.report.drawing import Picture
from workflows.results.report.facts import Facts


def own_pictures(facts: Facts) -> list[Picture]:
    """The pictures of the run's model; none for a model without, or before there are draws."""
    shipped = entry_of(facts.attributes)
    if shipped is None or shipped.pictures is None or not facts.draws:
        return []
    pictures: list[Picture] = part(shipped.pictures)(facts)
    return pictures
