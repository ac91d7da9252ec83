"""Six binary responses of each of 500 individuals, the random effect of each integrated out by Gauss-Hermite rules.

13 parameters. The posterior is that of a part of their space, where chains of configs/glmm.yaml lie, which start about
the truth: mu_1 < mu_2, which is half of two mirror images, and |logit w| < 4. Beyond, a component is empty and its
parameters have their prior: some 1e-4 of the mass and, as the prior is so wide, a good share of the variances.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.modelling.stock import Stock
from workflows.models.glmm.simulate import TRUTH, simulate

NODES = 20
"""Of each component."""
LARGEST = 4.0
"""Of |logit w|: at most 1 / (1 + e^4) = .018 of the individuals in a component."""
SPREAD = 0.1
"""Standard deviation of starts about the truth."""


def model(z: jax.Array, y: jax.Array, nodes: jax.Array, weights: jax.Array, log_l_sd: float) -> None:
    """z: [individual, response, covariate]. y: [individual, response]. nodes, weights: of a standard normal."""
    vague = dist.Normal(0.0, 10.0)
    b = numpyro.sample("b", vague.expand([z.shape[-1]]).to_event(1))
    mu = numpyro.sample("mu", vague.expand([2]).to_event(1))
    log_l = numpyro.sample("log_l", dist.Normal(0.0, log_l_sd).expand([2]).to_event(1))
    logit_w = numpyro.sample("logit_w", vague)
    inside = (mu[0] < mu[1]) & (jnp.abs(logit_w) < LARGEST)
    numpyro.factor("part", jnp.where(inside, 0.0, -jnp.inf))
    effect = mu[:, None] + jnp.exp(-0.5 * log_l)[:, None] * nodes
    share = jax.nn.sigmoid(jnp.stack([logit_w, -logit_w]))[:, None] * weights
    logits = jnp.einsum("knc,c->kn", z, b)[:, :, None, None] + effect
    log_joint = dist.Bernoulli(logits=logits).log_prob(y[:, :, None, None]).sum(axis=1)
    numpyro.factor("y", jnp.sum(jax.nn.logsumexp(log_joint, axis=(1, 2), b=share)))


def stock(log_l_sd: float = 10.0) -> Stock:
    """The model on the data of configs/glmm.yaml, with this prior standard deviation of log precisions."""
    drawn = simulate()
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    arguments = tuple(jnp.asarray(x) for x in (drawn.z, drawn.y, nodes, weights / weights.sum()))
    return Stock(model, (*arguments, log_l_sd), ("logit_w", "b", "mu", "log_l"), _start)


def informed() -> Stock:
    """The same with model.log_l_variance = 1: log precisions N(0, 1) a priori, which leaves no plateau."""
    return stock(log_l_sd=1.0)


def _start(chain: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(500 + chain)
    return {name: np.asarray(value + SPREAD * rng.standard_normal(np.shape(value))) for name, value in TRUTH.items()}
