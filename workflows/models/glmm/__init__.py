"""A mixed model of binary responses whose random effects come from a mixture, for pseudo-marginal kernels."""

from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="six binary responses of each of 500 individuals, random effects of two components: "
    "pseudo-marginal, d 64,013",
    build="workflows.models.glmm.model:build",
    stock={"glmm": "workflows.models.glmm.stock:stock", "glmm_informed": "workflows.models.glmm.stock:informed"},
)
