"""Factors for random walks: of the covariance given all other levels, from the information of the slopes."""

import numpy as np

from ensemble.adaptation.covariance import SHRINKAGE, conditional_factor

PRECISION = np.array([[4.0, 1.0, 0.0], [1.0, 900.0, -12.0], [0.0, -12.0, 0.25]])
PREVIOUS = np.repeat(np.diag([7.0, 8.0, 9.0])[:, :, None], 3, axis=2)


def factors(*blocks: np.ndarray, weight: float = 1e18) -> np.ndarray:
    found = conditional_factor(np.stack(blocks, axis=2), weight, PREVIOUS[:, :, : len(blocks)])
    return np.moveaxis(found, 2, 0)


def test_it_is_that_of_the_inverse() -> None:
    (lower,) = factors(PRECISION)
    np.testing.assert_allclose(lower @ lower.T, np.linalg.inv(PRECISION), rtol=1e-10, atol=1e-12)
    assert np.all(np.triu(lower, 1) == 0)


def test_padding_of_a_narrow_block_is_a_unit() -> None:
    narrow = np.pad(PRECISION[:2, :2], ((0, 1), (0, 1)))
    (lower,) = factors(narrow)
    expected = np.eye(3)
    expected[:2, :2] = np.linalg.inv(PRECISION[:2, :2])
    np.testing.assert_allclose(lower @ lower.T, expected, rtol=1e-10, atol=1e-14)


def test_what_is_not_known_keeps_its_factor() -> None:
    found = factors(PRECISION, np.zeros((3, 3)), np.full((3, 3), np.nan))
    np.testing.assert_array_equal(found[1:], np.moveaxis(PREVIOUS, 2, 0)[1:])
    assert not np.array_equal(found[0], PREVIOUS[:, :, 0])


def test_few_states_tell_little_of_correlations() -> None:
    (lower,) = factors(PRECISION, weight=SHRINKAGE)
    expected = np.linalg.inv((PRECISION + np.diag(np.diag(PRECISION))) / 2)
    np.testing.assert_allclose(lower @ lower.T, expected, rtol=1e-10)
