"""Which coordinates every replica is looked at in, and what they are called."""

import numpy as np
import pytest

from ensemble.protocol.watched import coordinate_name, there, watched_levels
from tests.support.models.ensemble_models import GROUPS, small


def test_coordinates_of_small_levels_are_watched_and_named_in_order() -> None:
    structure = small().structure
    levels = watched_levels(structure)
    assert [level.name for level in levels] == ["global", "g"]
    assert [int(there(level).sum()) for level in levels] == [2, 2 * GROUPS]
    names = [coordinate_name(structure, number) for number in range(2 + 2 * GROUPS)]
    assert sorted(names[:2]) == ["log_sd", "mu"]
    assert sorted(names[2:]) == sorted(f"{site}[{group}]" for site in "bx" for group in range(GROUPS))


def test_names_are_those_of_the_gathered_coordinates() -> None:
    """A position with one coordinate set shows it at the number of its name."""
    structure = small().structure
    blank = {"mu": np.zeros(()), "log_sd": np.zeros(()), "x": np.zeros(GROUPS), "b": np.zeros(GROUPS)}
    marked = {**blank, "b": np.arange(GROUPS) == 3}
    gathered = np.concatenate([np.asarray(v.gather(marked))[there(v)] for v in watched_levels(structure)])
    assert coordinate_name(structure, int(np.argmax(gathered))) == "b[3]"


def test_a_number_beyond_the_last_one_has_no_name() -> None:
    with pytest.raises(IndexError):
        coordinate_name(small().structure, 2 + 2 * GROUPS)
