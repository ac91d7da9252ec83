"""Independent draws from the posteriors of the suite that have a closed form."""

from collections.abc import Callable, Mapping

import numpy as np

from workflows.studies.posteriors.suite import posterior

Draws = dict[str, np.ndarray]
"""Of each variable, as it is recorded: [draws, ...]."""


def earnings(rng: np.random.Generator, draws: int) -> Draws:
    """Flat priors on a, b and sigma: sigma^2 is inverse gamma with shape (n - 3) / 2, (a, b) given it normal."""
    data = posterior("earnings").build()[1]
    middle, n = data["height"].mean(), data["height"].size
    design = np.column_stack([np.ones(n), data["height"] - middle])
    fit, squares = np.linalg.lstsq(design, data["earnings"], rcond=None)[:2]
    sigma = np.sqrt(squares[0] / 2 / rng.gamma((n - 3) / 2, size=draws))
    # The columns of the design are orthogonal.
    at_middle, b = (fit + sigma[:, None] * rng.normal(size=(draws, 2)) / np.sqrt((design**2).sum(axis=0))).T
    return {"a": at_middle - b * middle, "b": b, "sigma": sigma}


def funnel(rng: np.random.Generator, draws: int) -> Draws:
    """y, and x given y."""
    y = rng.normal(0, 3, draws)
    return {"y": y, "x": np.exp(y / 2)[:, None] * rng.normal(size=(draws, 9))}


def ill_conditioned(rng: np.random.Generator, draws: int) -> Draws:
    """By a Cholesky factor."""
    data = posterior("ill_conditioned").build()[1]
    root = np.linalg.cholesky(data["covariance"])
    return {"x": data["mean"] + rng.normal(size=(draws, 50)) @ root.T}


def banana(rng: np.random.Generator, draws: int) -> Draws:
    """x, and y given x."""
    x = rng.normal(1, np.sqrt(10), draws)
    return {"x": x, "y": rng.normal(x**2, np.sqrt(0.1))}


def moments(name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and sd of every variable by formula, {} where there is none.

    Funnel: Var x = E e^y = e^(9/2). Banana, with x ~ N(m, s^2): E x^2 = m^2 + s^2, Var x^2 = 4 m^2 s^2 + 2 s^4.
    """
    if name == "funnel":
        return {"y": (np.zeros(()), np.asarray(3.0)), "x": (np.zeros(9), np.full(9, np.exp(9 / 4)))}
    if name == "banana":
        return {
            "x": (np.ones(()), np.sqrt(np.asarray(10.0))),
            "y": (np.asarray(11.0), np.sqrt(np.asarray(4 * 10 + 2 * 10**2 + 0.1))),
        }
    if name == "ill_conditioned":
        data = posterior(name).build()[1]
        return {"x": (data["mean"], np.sqrt(np.diag(data["covariance"])))}
    return {}


EXACT: Mapping[str, Callable[[np.random.Generator, int], Draws]] = {
    "earnings": earnings,
    "funnel": funnel,
    "ill_conditioned": ill_conditioned,
    "banana": banana,
}
