"""Why is the curve flat? The slope of expected returns, divided among four explanations.

The curve at a date with short rate r and wealth W: what a bond of maturity tau is expected to return, per year over its
life, along the expected paths of r and W and in continuous time,

    y(tau) = rbar + (r - rbar) (1 - exp(-kappa tau)) / (kappa tau)
             + gamma sigma^tau sum_s X^s sigma^s Delta^s log(1 + omega tau / W) / (omega tau).

Its slope is y(30y) - y(3m). Four things can make it flat: a short rate that is expected to fall (kappa and rbar), bonds
that vary little (low sigma), wealth that is expected to grow and bears their risk more easily (omega), and holders who
mind risk little (gamma). Each is compared with its absence: kappa 0 and omega 0, so that rate and wealth are expected
to stay; sigma and gamma at their published values. The slope at a draw less the slope with all four absent is divided
exactly among the four, by the average over all orders of letting them in, one after the other (Shapley 1953,
Contributions to the Theory of Games 2, 307-317; Shorrocks 2013, Journal of Economic Inequality 11, 99-126). A negative
share flattens.
"""

from itertools import combinations
from math import factorial
from typing import NamedTuple

import numpy as np

from workflows.models.bond.dynamics import Theta, exposure
from workflows.models.bond.published import MATURITIES, SHARES, TRUTH

EXPLANATIONS = {
    "kappa and rbar": {"kappa": np.zeros(())},
    "low sigma": {"sigma": TRUTH["sigma"]},
    "omega": {"omega": np.zeros(())},
    "gamma": {"gamma": TRUTH["gamma"]},
}
"""Values of the parameters where an explanation is absent; without kappa, rbar says nothing."""
NONE = "none"
LEAST = 1e-6
"""Per year: what takes less off the slope does not flatten it."""


class Explained(NamedTuple):
    """Of draws, per year: slope [draw]; neutral: with all four absent; parts: share [draw] of each explanation;
    support: the probability of each that it flattens the most, and of NONE that nothing does; left_out: how many draws
    had no curve, as wealth is expected to run out within the longest life."""

    slope: np.ndarray
    neutral: float
    parts: dict[str, np.ndarray]
    support: dict[str, float]
    left_out: int


def explained(theta: Theta, rate: float, wealth: float) -> Explained:
    """The four explanations, at parameters [draw] (sigma [draw, maturity]) and a date's short rate and wealth.

    Raises ValueError for wealth that is not positive, or where it runs out in all draws.
    """
    lasts = wealth + np.asarray(theta.omega) * MATURITIES[-1] > 0.0
    if not wealth > 0.0 or not lasts.any():
        raise ValueError(
            f"there is no curve: wealth is {wealth:g}, and must be and stay above 0 for {MATURITIES[-1]:g} years"
        )
    kept = Theta(*(np.asarray(part)[lasts] for part in theta))
    parts = shares(kept, rate, wealth)
    return Explained(
        slope=slope(kept, rate, wealth),
        neutral=float(slope(without(kept, frozenset(EXPLANATIONS)), rate, wealth)[0]),
        parts=parts,
        support=_support(parts),
        left_out=int((~lasts).sum()),
    )


def slope(theta: Theta, rate: float, wealth: float) -> np.ndarray:
    """y(longest) - y(shortest) of each draw; wealth must stay above 0 for the longest life."""
    risk = theta.gamma * exposure(theta, SHARES)

    def expected(k: int) -> np.ndarray:
        life = MATURITIES[k]
        fall = _ratio(-np.expm1(-theta.kappa * life), theta.kappa * life)
        inverse_wealth = _ratio(np.log1p(theta.omega * life / wealth), theta.omega * life / wealth) / wealth
        return np.asarray(theta.rbar + (rate - theta.rbar) * fall + risk * theta.sigma[..., k] * inverse_wealth)

    return expected(-1) - expected(0)


def shares(theta: Theta, rate: float, wealth: float) -> dict[str, np.ndarray]:
    """Each explanation's share [draw] of the slope less that with all absent; they sum to it."""
    names, total = frozenset(EXPLANATIONS), len(EXPLANATIONS)
    value = {
        frozenset(there): slope(without(theta, names - set(there)), rate, wealth)
        for size in range(total + 1)
        for there in combinations(EXPLANATIONS, size)
    }

    def share(name: str) -> np.ndarray:
        terms = [
            factorial(len(there)) * factorial(total - len(there) - 1) / factorial(total) * (value[there | {name}] - old)
            for there, old in value.items()
            if name not in there
        ]
        return np.sum(terms, axis=0)  # type: ignore[no-any-return]

    return {name: share(name) for name in EXPLANATIONS}


def without(theta: Theta, absent: frozenset[str]) -> Theta:
    """The parameters where these explanations are absent, of the same shapes."""
    neutral = {field: value for name in absent for field, value in EXPLANATIONS[name].items()}
    return theta._replace(**{field: np.broadcast_to(v, getattr(theta, field).shape) for field, v in neutral.items()})


def _support(parts: dict[str, np.ndarray]) -> dict[str, float]:
    """How often each part is the lowest of those that flatten."""
    table = np.stack([*parts.values(), np.full(len(next(iter(parts.values()))), -LEAST)])
    lowest = np.argmin(table, axis=0)
    return {name: float(np.mean(lowest == k)) for k, name in enumerate((*parts, NONE))}


def _ratio(numerator: np.ndarray, x: np.ndarray) -> np.ndarray:
    """numerator / x, and its limit 1 where x is 0."""
    return np.divide(numerator, x, out=np.ones_like(numerator), where=x != 0.0)
