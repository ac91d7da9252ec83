"""Gene expression with and without dexamethasone."""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="gene expression with and without dexamethasone: negative binomial, "
    "d about 67,000 (134,000 with cells)",
    build="workflows.models.airway.model:build",
    table="workflows.models.airway.table:lines",
    pictures="workflows.models.airway.pictures:pictures",
    stock={"airway_small": "workflows.models.airway.stock:stock"},
)
