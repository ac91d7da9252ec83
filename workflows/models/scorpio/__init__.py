"""Independent copies of a four-mode density in two dimensions."""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="independent copies of a four-mode density in two dimensions, with exact draws to compare with",
    build="workflows.models.scorpio.model:build",
    table="workflows.models.scorpio.table:lines",
    pictures="workflows.models.scorpio.pictures:pictures",
)
