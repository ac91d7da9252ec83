"""How good a ladder of temperatures is, and a better one: barrier, schedule of equal rejections, round trips to expect.

Betas fall from cold to hot; rejections r_i are by pair of neighbours, NaN where a pair was never tried. After Syed,
Bouchard-Côté, Deligiannidis and Doucet (2022), "Non-reversible parallel tempering: a scalable highly parallel MCMC
scheme", J. R. Stat. Soc. B 84, 321-350.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

LEAST_REJECTION = 1e-9
"""Share that a pair without any rejection counts for, so that the cumulative barrier increases strictly."""


def rejections(accepted: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """r_i = 1 - accepted / tried, [R - 1], from sums of acceptance probabilities and counts; NaN where none was tried.

    Probabilities estimate r better than counts of accepted swaps.
    """
    with np.errstate(invalid="ignore"):
        rates: np.ndarray = 1.0 - np.asarray(accepted, float) / np.asarray(tried, float)
    return np.clip(rates, 0.0, 1.0)


def communication_barrier(rejections: np.ndarray) -> float:
    """Lambda = sum_i r_i, the global barrier between the ends of the ladder; NaN if a pair was never tried.

    It tends to a constant of the path of densities as the ladder gets finer (r_i is then proportional to the step).
    """
    return float(np.sum(rejections))


def cumulative_barrier(betas: np.ndarray, rejections: np.ndarray) -> "PchipInterpolator":
    """Lambda(beta): rejections of all pairs hotter than beta, through the rungs' values by a monotone cubic.

    Its `.derivative()` is the local barrier lambda(beta) >= 0. Raises ValueError as adapted_betas; a NaN among the
    rejections also: there is no curve through an unknown value.
    """
    from scipy.interpolate import PchipInterpolator  # takes long to import: for ladders only

    _check(betas, rejections)
    if np.isnan(rejections).any():
        raise ValueError(f"rejections {rejections} hold NaN: pairs that were never tried; run a round of either parity")
    return PchipInterpolator(betas[::-1], np.concatenate([[0.0], np.cumsum(rejections[::-1])]))


def adapted_betas(betas: np.ndarray, rejections: np.ndarray) -> np.ndarray:
    """The schedule of as many rungs on which every pair should reject equally, [R], from the rejections on this one.

    The cumulative rejections are divided into equal parts, each part's beta read off the monotone cubic through the
    rungs (the inverse function is interpolated, which stays smooth where the barrier is steep). Ends are kept exactly,
    and a schedule of equal rejections is kept. Measured rejections saturate at 1, so a poor ladder takes several
    rounds. Unchanged where nothing can be learned: a pair was never tried (NaN), or none ever rejected.

    betas: [R], falling strictly. rejections: [R - 1] in [0, 1]. Raises ValueError otherwise.
    """
    _check(betas, rejections)
    total = np.sum(rejections)
    if np.isnan(total) or total == 0.0:
        return np.array(betas, float)
    from scipy.interpolate import PchipInterpolator

    rises = np.maximum(rejections, LEAST_REJECTION * total)
    cumulative = np.concatenate([[0.0], np.cumsum(rises)])
    parts = np.linspace(0.0, cumulative[-1], len(betas))
    inner = PchipInterpolator(cumulative, betas)(parts[1:-1])
    return np.concatenate([betas[:1], inner, betas[-1:]])


def round_trip_rate(rejections: np.ndarray) -> float:
    """Round trips to expect a round of swaps, of all walkers of a ladder together: 1 / (2 + 2 sum_i r_i / (1 - r_i)).

    For even/odd swaps, when moves between two rounds make the acceptances independent of what was before: an upper
    mark to compare the count with. 0 where a pair never accepts, NaN where one was never tried.
    """
    rates = np.asarray(rejections, float)
    with np.errstate(divide="ignore"):
        odds = np.sum(rates / (1.0 - rates))
    return float(1.0 / (2.0 + 2.0 * odds))


def round_trips_all_accepted(rounds: int, rungs: int, first: int = 0) -> int:
    """Round trips (cold, hot, cold) of all walkers in `rounds` rounds, the first numbered `first`, if all are accepted.

    A walker runs around a cycle of 2 R phases, phase p being rung p on the way up (p < R), then 2 R - 1 - p on the way
    down; it waits one round at either end. It starts at p = r where r and the first round are both even or both odd,
    else at 2 R - 1 - r, and ends a trip whenever it comes to 2 R - 1 after its first visit to the cold end.
    Raises ValueError for fewer than 2 rungs.
    """
    if rungs < 2:
        raise ValueError(f"a ladder of {rungs} rungs has no round trips: give it at least 2")
    starts = [rung if (rung - first) % 2 == 0 else 2 * rungs - 1 - rung for rung in range(rungs)]
    # At the cold end already: the trip has begun, as if one had just ended.
    phases = [start or 2 * rungs for start in starts]
    return sum(max(0, (rounds + phase + 1) // (2 * rungs) - 1) for phase in phases)


def _check(betas: np.ndarray, rejections: np.ndarray) -> None:
    """Refuse what is no ladder with its rejections."""
    if len(betas) < 2 or not (np.diff(betas) < 0).all():
        raise ValueError(f"betas are {betas}; a ladder has 2 or more, which fall strictly from cold to hot")
    if len(rejections) != len(betas) - 1:
        raise ValueError(f"{len(rejections)} rejections were given for {len(betas)} betas; there is one a neighbour")
    if (np.asarray(rejections) < 0).any() or (np.asarray(rejections) > 1).any():
        raise ValueError(f"rejections are {rejections}; they are probabilities, 0 to 1")
