"""Whether trajectories on all parameters pay: the arithmetic of effective draws for their operations."""

from dataclasses import replace

import numpy as np
import pytest

from ensemble.adaptation.joint import ALONE, BESIDE, GRADIENT, PREFERENCE, absorb_jumps, no_jumps, worth_joining
from ensemble.adaptation.moments import EnsembleMoments, Moments
from ensemble.protocol.statistics import ChainSums, Rate
from ensemble.protocol.sweep_spec import KernelSpec, SweepSpec
from kernels.structure.joining import ALL_SITES, level_of_all_sites
from tests.support.models.ensemble_models import WIDTHS, small
from tests.support.statistics import statistics_of

SWEEPS, REPEATS, REPLICAS = 4, 2, 12
OWN = SWEEPS * (1 + REPEATS + 1)
"""Evaluations of a round of the levels' moves: the global level twice a sweep, the leaf once."""
VARIANCE = 4.0


def spec() -> SweepSpec:
    model = small()
    joint = replace(level_of_all_sites(model.target, model.structure), leaf=False)
    return SweepSpec(model.structure, {ALL_SITES: KernelSpec("nuts")}, joint=(joint,))


def moments() -> EnsembleMoments:
    """Every coordinate has the same variance."""
    found = {
        level: (Moments(np.asarray(10.0), np.zeros(shape), 10.0 * VARIANCE * _identity(shape)),)
        for level, shape in WIDTHS.items()
    }
    return EnsembleMoments(found, {})


def _identity(shape: tuple[int, int]) -> np.ndarray:
    return np.repeat(np.eye(shape[0])[:, :, None], shape[1], axis=2)


def after(alone: float, beside: float, steps: float, slow: tuple[str, int, int] | None = None):
    """Jumps after a round of each kind, in which a coordinate moves so far in units of 2 v (1 - rho) at rho = 0; the
    trajectories of the second kind have so many steps. slow: this coordinate moves a tenth as much."""
    jumps = no_jumps(spec())
    for kind, moved, taken in ((ALONE, alone, 0.0), (BESIDE, beside, steps)):
        squares = {level: np.full(shape, 2 * VARIANCE * moved * REPLICAS) for level, shape in WIDTHS.items()}
        if slow is not None:
            squares[slow[0]][slow[1], slow[2]] /= 10.0
        chains = ChainSums(Rate(np.zeros(REPLICAS), np.zeros(REPLICAS)), n_steps=np.full(REPLICAS, taken))
        jumps = absorb_jumps(jumps, [statistics_of(jumps=squares, chains=chains)], kind, REPLICAS)
    return jumps


def decision(jumps) -> bool:
    return worth_joining(jumps, moments(), spec(), SWEEPS, REPEATS, REPLICAS)


def draws(moved: float) -> float:
    """Effective draws a round: (1 - rho) / (1 + rho)."""
    return moved / (2.0 - moved)


@pytest.mark.parametrize("margin", [0.99, 1.01])
def test_the_levels_alone_must_be_better_by_the_preference(margin: float) -> None:
    """Found where draws(alone) / OWN is 1.25 times draws(beside) / (OWN + 3 steps)."""
    steps, alone = 10.0, 0.3
    edge = draws(alone) / OWN * (OWN + GRADIENT * steps) / PREFERENCE
    beside = 2 * edge / (1 + edge)
    assert draws(beside) == pytest.approx(edge)
    assert decision(after(alone, beside * margin, steps)) is (margin > 1.0)


def test_costless_trajectories_that_move_as_far_are_kept_and_dear_ones_dropped() -> None:
    assert decision(after(0.3, 0.3, 0.1))
    assert not decision(after(0.3, 0.3, 1000.0))


def test_one_slow_coordinate_decides() -> None:
    """All but one move perfectly without trajectories, that one by a hundredth: trajectories that move all evenly."""
    assert not decision(after(1.0, 0.5, 50.0))
    jumps = after(1.0, 0.5, 50.0)
    jumps.squares["g"][ALONE, 0, 0] /= 100.0
    assert decision(jumps)


def test_what_does_not_move_at_all_needs_trajectories() -> None:
    assert decision(after(0.0, 0.01, 100.0))


def test_before_both_kinds_are_known_and_where_neither_moves_the_more_robust_is_kept() -> None:
    assert decision(no_jumps(spec()))
    assert decision(after(0.0, 0.0, 100.0))


def test_rounds_of_each_kind_are_counted_apart() -> None:
    jumps = after(0.3, 0.6, 16.0)
    assert jumps.rounds.tolist() == [1.0, 1.0]
    assert jumps.steps.tolist() == [0.0, 16.0]
    np.testing.assert_allclose(jumps.squares["g"][BESIDE], 2 * jumps.squares["g"][ALONE])


def test_more_rounds_of_the_same_change_nothing() -> None:
    """Sums, not means, are kept."""
    once = after(0.3, 0.31, 10.0)
    thrice = once._replace(
        squares={name: 3 * values for name, values in once.squares.items()},
        rounds=3 * once.rounds,
        steps=3 * once.steps,
    )
    assert decision(once) == decision(thrice)


def test_without_joint_levels_nothing_is_kept() -> None:
    assert no_jumps(small().spec).squares == {}
