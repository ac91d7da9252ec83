"""Hidden Markov models of two states, 6 parameters, summed over all paths by a scan."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.distributions import constraints

from workflows.studies.posteriors.posterior import Built


def _forward(log_theta: jax.Array, log_emission: jax.Array) -> jax.Array:
    """log p(y) from transitions [2, 2] and emissions [T, 2], the first state unknown."""

    def step(log_alpha: jax.Array, emission: jax.Array) -> Any:
        return logsumexp(log_alpha[:, None] + log_theta, axis=0) + emission, None

    return logsumexp(jax.lax.scan(step, log_emission[0], log_emission[1:])[0])


def gaussian() -> Built:
    """100 values with means 3 and 9: transitions as simplexes, ordered positive means."""

    def model(y: jax.Array) -> None:
        theta1 = numpyro.sample("theta1", dist.Dirichlet(jnp.ones(2)))
        theta2 = numpyro.sample("theta2", dist.Dirichlet(jnp.ones(2)))
        mu = numpyro.sample("mu", dist.ImproperUniform(constraints.positive_ordered_vector, (), (2,)))
        sigma = numpyro.sample("sigma", dist.HalfNormal(3).expand([2]).to_event(1))
        numpyro.factor("mu_prior", dist.Normal(jnp.array([3.0, 10.0]), 1).log_prob(mu).sum())
        emission = dist.Normal(mu, sigma).log_prob(y[:, None])
        numpyro.factor("y", _forward(jnp.log(jnp.stack([theta1, theta2])), emission))

    rng = np.random.default_rng(301)
    state = _path(rng, 100, (0.15, 0.1))
    return model, {"y": rng.normal(np.array([3.0, 9.0])[state], np.array([1.0, 1.5])[state])}


def drives() -> Built:
    """Speeds and distances of 400 moves, exponential in both states, which overlap."""

    def model(speed: jax.Array, distance: jax.Array) -> None:
        theta1 = numpyro.sample("theta1", dist.Dirichlet(jnp.ones(2)))
        theta2 = numpyro.sample("theta2", dist.Dirichlet(jnp.ones(2)))
        phi = numpyro.sample("phi", dist.ImproperUniform(constraints.positive_ordered_vector, (), (2,)))
        rate = numpyro.sample("rate", dist.ImproperUniform(constraints.positive_ordered_vector, (), (2,)))
        numpyro.factor("phi_prior", dist.Normal(jnp.array([0.0, 3.0]), 1).log_prob(phi).sum())
        numpyro.factor("rate_prior", dist.Normal(jnp.array([0.0, 3.0]), 1).log_prob(rate).sum())
        emission = dist.Exponential(phi).log_prob(speed[:, None]) + dist.Exponential(rate).log_prob(distance[:, None])
        numpyro.factor("y", _forward(jnp.log(jnp.stack([theta1, theta2])), emission))

    rng = np.random.default_rng(302)
    state = _path(rng, 400, (0.1, 0.2))
    speed = rng.exponential(1 / np.array([0.8, 3.0])[state])
    return model, {"speed": speed, "distance": rng.exponential(1 / np.array([0.5, 2.5])[state])}


def _path(rng: np.random.Generator, length: int, leave: tuple[float, float]) -> np.ndarray:
    state = np.zeros(length, int)
    for t in range(1, length):
        state[t] = state[t - 1] ^ (rng.random() < leave[state[t - 1]])
    return state
