"""The mixed model with model.log_l_variance = 1: log precisions N(0, 1) a priori, which leaves no plateau."""

from workflows.modelling.stock import Stock
from workflows.models.glmm import stock as glmm


def stock() -> Stock:
    """The model of configs/glmm.yaml with that prior."""
    return glmm.stock(log_l_sd=1.0)
