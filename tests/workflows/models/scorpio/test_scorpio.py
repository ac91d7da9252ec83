"""Scorpio: its density, its exact draws, its starts."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from workflows.modelling.registry import build
from workflows.models.scorpio import model as scorpio


def test_scorpio_density_is_the_mixture_and_holds_far_away() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([scorpio.exact_draws(rng, 200), [[400.0, -300.0]]])
    parts = [
        np.log(w) + scipy.stats.norm.logpdf(points, m, s).sum(axis=1)
        for w, m, s in zip(scorpio.WEIGHTS, scorpio.MEANS, scorpio.SDS, strict=True)
    ]
    expected = scipy.special.logsumexp(parts, axis=0)
    model = build("scorpio", {"copies": 201})
    position = {"x": jnp.asarray(points[:, 0]), "y": jnp.asarray(points[:, 1])}
    np.testing.assert_allclose(model.target.log_terms(position, {})["scorpio"], expected, rtol=1e-12)


def test_scorpio_responsibilities_of_exact_draws_average_to_the_weights() -> None:
    """100,000 draws, 5 standard errors of a fraction each: false alarms below 6e-7 a component."""
    draws = scorpio.exact_draws(np.random.default_rng(1), 100_000)
    masses = np.asarray(scorpio.responsibilities(jnp.asarray(draws[:, 0]), jnp.asarray(draws[:, 1])).mean(axis=1))
    error = np.sqrt(scorpio.WEIGHTS * (1 - scorpio.WEIGHTS) / len(draws))
    assert np.all(np.abs(masses - scorpio.WEIGHTS) < 5 * error)


def test_scorpio_starts_in_the_body() -> None:
    """4,000 starts: body responsibility is above .9 on average for certain (its mean under the body is .99)."""
    model = build("scorpio", {"copies": 4000})
    start = model.target.initial(jax.random.key(0), model.data)
    assert float(scorpio.responsibilities(start["x"], start["y"])[0].mean()) > 0.9
    assert model.target.sites["x"].plates == ("copy",)
