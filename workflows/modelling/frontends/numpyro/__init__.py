"""The NumPyro front end: a Model from a NumPyro model function and its data.

The model is traced with its latent values substituted: each latent site adds its log probability and the log Jacobian
of the transform from the unconstrained coordinates, unsummed, as one prior term; observed sites and factors are
likelihood terms. Transforms are made in the order of the trace, so that a support may depend on earlier sites.

The density is that of `numpyro.infer.util.log_density` plus the Jacobians: masks and scales act on probabilities only,
never on Jacobians, which belong to the coordinates and not to the model. (NumPyro's `potential_energy` masks and scales
Jacobians too inside `handlers.mask` and `handlers.scale`, and does not for a distribution's own `mask`.)
"""

from workflows.modelling.frontends.numpyro.detection import from_user
from workflows.modelling.frontends.numpyro.model import numpyro_model

__all__ = ["from_user", "numpyro_model"]
