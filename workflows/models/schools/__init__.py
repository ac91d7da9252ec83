"""Effects of coaching in eight schools."""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="effects of coaching in eight schools, pooled as far as they agree: the textbook's hierarchy, d 10",
    build="workflows.models.schools.model:build",
    table="workflows.models.schools.table:lines",
)
