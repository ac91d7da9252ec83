"""Chains that have been where no posterior explains the log density: told from tails that all of them visit."""

import numpy as np
import pytest

from ensemble.protocol.stages import SAMPLE
from ensemble.run.decisions.floor import floor_of
from ensemble.run.decisions.lowest import with_lowest
from ensemble.run.ledger import Ledger

CHAINS, DIMENSION = 32, 1806


def begun(heights: np.ndarray) -> Ledger:
    """As the tuning is frozen with chains at these log densities."""
    return Ledger(stage=SAMPLE, floor=floor_of(heights, DIMENSION))


def rounds(spread: float, count: int) -> np.ndarray:
    return -13_670.0 + spread * np.random.default_rng(3).normal(size=(count, CHAINS))


def absorbed(ledger: Ledger, heights: np.ndarray) -> Ledger:
    for row in heights:
        ledger = with_lowest(ledger, row, DIMENSION, anew=False)
    return ledger


def test_tails_that_the_freeze_had_not_seen_are_no_strays() -> None:
    """At the freeze no wider than d / 2 says (30), and more than twice as wide since: the scale of effects varies."""
    narrow, wide = rounds(15.0, 1)[0], rounds(75.0, 1500)
    assert wide.min() < floor_of(narrow, DIMENSION)
    assert absorbed(begun(narrow), wide).strays == {}


def test_a_chain_that_was_on_its_way_at_first_stays_a_stray() -> None:
    heights = rounds(60.0, 1500)
    heights[:3, 7] = [-18_000.0, -16_500.0, -15_000.0]
    assert absorbed(begun(rounds(30.0, 1)[0]), heights).strays == {"7": -18_000.0}


def test_what_is_no_number_is_a_stray() -> None:
    heights = rounds(30.0, 5)
    heights[2, 4] = np.nan
    assert absorbed(begun(rounds(30.0, 1)[0]), heights).strays == {"4": -np.inf}


def test_rounds_before_the_diagnostics_begin_anew_do_not_count() -> None:
    ledger = begun(rounds(30.0, 1)[0])
    low = rounds(30.0, 1)[0]
    low[0] = -18_000.0
    assert (
        with_lowest(with_lowest(ledger, low, DIMENSION, anew=False), rounds(30.0, 1)[0], DIMENSION, anew=True).strays
        == {}
    )


@pytest.mark.parametrize("ledger", [Ledger(), Ledger(stage=SAMPLE)])
def test_where_no_floor_is_known_nobody_is_a_stray(ledger: Ledger) -> None:
    assert absorbed(ledger, rounds(1e6, 3)).strays == {}
