"""Drinks per drinking day of 26,946 people."""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="drinks per drinking day: a propensity for each of 26,946 people, pooled over groups; "
    "heaped counts, d 26,986",
    build="workflows.models.alcohol.model:build",
    table="workflows.models.alcohol.table:lines",
    pictures="workflows.models.alcohol.pictures:pictures",
    stock={
        "alcohol_small": "workflows.models.alcohol.stock:stock",
        "alcohol_plain": "workflows.models.alcohol.stock:without_words",
    },
)
