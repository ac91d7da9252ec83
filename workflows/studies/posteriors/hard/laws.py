"""Laws of single numbers, known by formula or quadrature: probabilities below given points, and moments."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""About where a law is cut."""
PRECISION = 1e-9
"""Of quadratures, absolute: far below what any run can tell."""

Cdf = Callable[[float], float]


class Cut(NamedTuple):
    """The probability of a value up to a point."""

    point: float
    probability: float


class Moments(NamedTuple):
    """mean, sd, and kurtosis (3 for a normal law), which tells how well an sd can be known."""

    mean: float
    sd: float
    kurtosis: float


class Law(NamedTuple):
    """cuts: points with the probabilities below them. moments: None where tails or modes make them a poor judge."""

    cuts: tuple[Cut, ...]
    moments: Moments | None = None


def of_cdf(cdf: Cdf, reach: float, more: Sequence[float] = (), moments: Moments | None = None) -> Law:
    """The law with that distribution function. reach: all points cut at lie within +-reach. more: further points."""
    points = [brentq(lambda x, p=p: cdf(x) - p, -reach, reach, xtol=1e-9 * reach) for p in PROBABILITIES]
    return Law(tuple(Cut(float(x), float(cdf(x))) for x in sorted({*points, *more})), moments)


def of_scipy(frozen: Any, *, moments: bool) -> Law:
    """That of a frozen distribution of scipy.stats."""
    points = frozen.ppf(PROBABILITIES)
    found = None
    if moments:
        mean, variance, excess = (float(value) for value in frozen.stats(moments="mvk"))
        found = Moments(mean, float(np.sqrt(variance)), 3.0 + excess)
    return Law(tuple(Cut(float(x), float(p)) for x, p in zip(points, frozen.cdf(points), strict=True)), found)


def normal(sd: float, mean: float = 0.0) -> Law:
    """The normal law."""
    return of_scipy(stats.norm(mean, sd), moments=True)


def normal_mixture(weights: ArrayLike, means: ArrayLike, sds: ArrayLike) -> Law:
    """A mixture of normals, cut between neighbouring means too, which tells the weights of separated modes."""
    w, m, s = (np.asarray(values, float) for values in (weights, means, sds))

    def cdf(x: float) -> float:
        return float(w @ stats.norm.cdf((x - m) / s))

    places = np.unique(m)
    reach = float(np.max(np.abs(m) + 10 * s))
    return of_cdf(cdf, reach, more=tuple((places[1:] + places[:-1]) / 2))


def scale_mixture(cdf_given: Callable[[float, float], float], sd: float, reach: float) -> Law:
    """The law of a value whose distribution function given y is cdf_given(value, y), where y ~ N(0, sd)."""

    def cdf(x: float) -> float:
        return integral(lambda y: stats.norm.pdf(y, 0, sd) * cdf_given(x, y), 10 * sd)

    return of_cdf(cdf, reach)


def integral(function: Callable[[float], float], reach: float, places: Sequence[float] = (0.0,)) -> float:
    """Over +-reach. places: where the function is narrow."""
    value, _ = quad(function, -reach, reach, points=places, epsabs=PRECISION, epsrel=PRECISION, limit=1000)
    return float(value)
