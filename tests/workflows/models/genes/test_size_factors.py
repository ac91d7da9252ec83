"""Size factors against values worked out by hand, and those that DESeq2 publishes for the airway counts."""

import numpy as np
import pytest

from workflows.modelling.registry import build
from workflows.models.genes.size_factors import log_size_factors

LOG2 = np.log(2.0)


def test_median_of_ratios_over_genes_without_a_zero() -> None:
    """The last two genes are left out for their zeros, whatever their counts."""
    counts = np.array([[2, 4, 8, 0, 900], [8, 16, 32, 700, 0]])
    np.testing.assert_allclose(np.exp(log_size_factors(counts)), [0.5, 2.0], rtol=1e-14)


def test_the_median_does_not_follow_a_few_genes_that_change() -> None:
    counts = np.array([[10, 10, 10, 10, 10], [10, 10, 10, 1000, 4000]])
    np.testing.assert_allclose(log_size_factors(counts), [0.0, 0.0], atol=1e-14)


def test_without_such_genes_positive_counts_are_compared() -> None:
    """Geometric means of the positive counts are 4, 4 and 3: ratios (1/2, 2), (2, 1) and (1/2, 1)."""
    counts = np.array([[2, 8, 0], [8, 0, 3], [0, 2, 3]])
    np.testing.assert_allclose(log_size_factors(counts), [0.0, 0.5 * LOG2, -0.5 * LOG2], atol=1e-14)


def test_airway_as_deseq2_has_it() -> None:
    """sizeFactors(dds) of Bioconductor's RNA-seq workflow for these counts."""
    published = [1.0236476, 0.8961667, 1.1794861, 0.6700538, 1.1776714, 1.3990365, 0.9207787, 0.9445141]
    model = build("genes", {"counts": "airway", "design": "~ cell + dex", "genes": 3})
    np.testing.assert_allclose(model.constant["size_factor"], published, atol=1e-7)
    np.testing.assert_array_equal(model.constant["size_factor"], np.exp(model.data["log_size"]))


def test_a_subset_keeps_the_size_factors_and_the_filter_of_all_genes() -> None:
    model = build("genes", {"counts": "airway", "design": "~ cell + dex", "genes": 3})
    assert model.notes == (
        "11,100 of 33,469 genes are left out, having fewer than 10 reads over all samples (model.minimum_reads); "
        "22,369 are kept",
    )
    with pytest.raises(Exception, match=r"genes = 22370: choose between 1 and 22369, .* kept genes, or \"all\""):
        build("genes", {"counts": "airway", "design": "~ dex", "genes": 22_370})
