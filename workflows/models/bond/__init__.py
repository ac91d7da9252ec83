"""Bond prices, the short rate and the wealth of those who hold bonds: why is the curve flat?"""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="prices of bonds of nine maturities with the short rate and wealth: why is a curve flat? d 15",
    build="workflows.models.bond.model:build",
    table="workflows.models.bond.table:lines",
)
