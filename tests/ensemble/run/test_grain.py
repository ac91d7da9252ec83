"""Variables too narrow for the type that they are stored in are named."""

import numpy as np
import pytest

from ensemble.protocol.plans import RoundResult
from ensemble.run.decisions.grain import coarse
from ensemble.store.contents import Variable
from tests.support.models.ensemble_models import STORED

NORMAL = np.random.default_rng(0).normal(size=(3, STORED, 2))


def results(values: np.ndarray) -> list[RoundResult]:
    """Two shards with these draws of x, [3, STORED, 2]."""
    return [RoundResult(0, shard, None, {"posterior": {"x": values + shard}}, 0.0, 0.0) for shard in (0, 1)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "values", "said"),
    [
        ("float32", NORMAL, False),
        ("float32", 1e4 + NORMAL, False),
        ("float32", 1e6 + NORMAL, True),
        ("float64", 1e6 + NORMAL, False),
        ("float32", 1e6 + NORMAL * np.array([100.0, 1.0]), True),
    ],
)
def test_a_spacing_of_more_than_a_hundredth_of_the_spread_is_said(dtype: str, values: np.ndarray, said: bool) -> None:
    sentence = coarse(results(values), {"x": Variable(dtype, ("d",), (2,))})
    assert (sentence is not None) == said
    assert sentence is None or sentence.startswith("the posterior of x is too narrow for single precision")


def test_what_does_not_vary_is_no_fault() -> None:
    one = RoundResult(0, 0, None, {"posterior": {"x": np.full((3, STORED), 1e9)}}, 0.0, 0.0)  # type: ignore[arg-type]
    assert coarse([one], {"x": Variable("float32")}) is None
