"""Incomes in 2,024 areas of 51 states."""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="incomes in 2,024 areas of 51 states: correlated coefficients of education and experience, d 8,320",
    build="workflows.models.census.model:build",
    table="workflows.models.census.table:lines",
    pictures="workflows.models.census.pictures:pictures",
    stock={"census": "workflows.models.census.stock:stock"},
)
