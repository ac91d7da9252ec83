"""Heart-beat (RR) intervals through rest, exercise and recovery: two logistic steps in time, of one subject or many."""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="heart-beat intervals through exercise: a curve of 7 parameters and its noise, "
    "of one subject or of up to 272",
    build="workflows.models.rri.model:build",
    table="workflows.models.rri.table:lines",
    pictures="workflows.models.rri.pictures:pictures",
)
