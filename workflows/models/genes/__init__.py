"""Which genes change, from RNA-seq counts and a design: negative binomial counts with heavy-tailed effects."""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="which genes change, from your own counts and design: negative binomial, heavy-tailed effects "
    "(model.counts=FILE model.samples=FILE model.design='~ ...')",
    build="workflows.models.genes.build:build",
    table="workflows.models.genes.table:lines",
    frame="workflows.models.genes.table:frame",
    pictures="workflows.models.genes.pictures:pictures",
    reads_files=True,
)
