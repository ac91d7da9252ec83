"""The airway model: its data, its densities against SciPy, its names, its pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from workflows.modelling.registry import build
from workflows.models.airway.dataset import MINIMUM_READS, load
from workflows.models.airway.pictures import Effects, raw_fold_changes, shrinkage, volcano

GENES = 30


def test_kept_genes_and_library_sizes() -> None:
    data = load()
    assert data.counts.shape == (8, 22_369)
    assert data.counts.sum(axis=0).min() >= MINIMUM_READS
    np.testing.assert_allclose(data.library, np.log(data.counts.sum(axis=1)) - np.log(data.counts.sum(axis=1)).mean())
    assert data.library.sum() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(data.treated, [0, 1, 0, 1, 0, 1, 0, 1])
    assert sorted(set(data.cell_lines)) == ["N052611", "N061011", "N080611", "N61311"]
    assert data.genes[0] == "ENSG00000000003"
    np.testing.assert_array_equal(data.counts[:, 0], [679, 448, 873, 408, 1138, 1047, 770, 572])


def test_a_subset_keeps_the_library_sizes_of_all_genes() -> None:
    whole, part = load(), load(2000)
    chosen = np.sort(np.random.default_rng(0).choice(22_369, 2000, replace=False))
    np.testing.assert_array_equal(part.genes, whole.genes[chosen])
    np.testing.assert_array_equal(part.counts, whole.counts[:, chosen])
    np.testing.assert_array_equal(part.library, whole.library)


@pytest.mark.parametrize("genes", [0, 22_370])
def test_an_impossible_subset_is_refused(genes: int) -> None:
    with pytest.raises(ValueError, match=r"choose between 1 and 22369"):
        load(genes)


@pytest.mark.parametrize("cells", [False, True])
def test_airway_terms_against_scipy(cells: bool) -> None:
    model = build("airway", {"genes": GENES, "cells": cells})
    assert model.target.dimension == 5 + 3 * GENES + cells * (1 + 3 * GENES)
    position = jax.jit(model.target.initial)(jax.random.key(3), model.data)
    p = {name: np.asarray(value) for name, value in position.items()}
    terms = {name: np.asarray(value) for name, value in jax.jit(model.target.log_terms)(position, model.data).items()}
    data, normal = load(GENES), scipy.stats.norm.logpdf
    eta = data.library[:, None] + p["a"] + p["d"] * data.treated[:, None]
    if cells:
        for k, line in enumerate(("N061011", "N61311", "N080611")):
            eta = eta + (data.cell_lines == line)[:, None] * p["c"][:, k]
        sd_c = np.exp(p["sd_c"])
        np.testing.assert_allclose(terms["c"], normal(p["c"], 0.0, sd_c).sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(terms["sd_c"], scipy.stats.halfnorm.logpdf(sd_c) + p["sd_c"], rtol=1e-12)
    r, mu = np.exp(-p["phi"]), np.exp(eta)
    np.testing.assert_allclose(
        terms["y"], scipy.stats.nbinom.logpmf(data.counts, r, r / (r + mu)), rtol=1e-7, atol=1e-9
    )
    np.testing.assert_allclose(terms["a"], normal(p["a"], p["mu_a"], np.exp(p["sd_a"])), rtol=1e-12)
    np.testing.assert_allclose(terms["d"], normal(p["d"], 0.0, np.exp(p["sd_d"])), rtol=1e-12)
    np.testing.assert_allclose(terms["phi"], normal(p["phi"], p["mu_p"], np.exp(p["sd_p"])), rtol=1e-10, atol=1e-12)
    for name, value in (("mu_a", normal(p["mu_a"], 4, 5)), ("mu_p", normal(p["mu_p"], -2, 2))):
        assert float(terms[name]) == pytest.approx(value, rel=1e-12)
    for name, scale in (("sd_a", 5.0), ("sd_d", 1.0), ("sd_p", 1.0)):
        expected = scipy.stats.halfnorm.logpdf(np.exp(p[name]), scale=scale) + p[name]
        assert float(terms[name]) == pytest.approx(expected, rel=1e-12)


def test_airway_names_and_groups() -> None:
    model = build("airway", {"genes": GENES, "cells": True})
    assert model.dims["c"] == ("gene", "cell")
    assert model.dims["y"] == ("sample", "gene")
    assert model.dims["phi"] == ("gene",)
    assert list(model.coords["cell"]) == ["N061011", "N61311", "N080611"]
    assert len(model.coords["gene"]) == GENES
    np.testing.assert_array_equal(model.observed["y"], load(GENES).counts)
    assert model.dims["library"] == ("sample",)
    variables = model.target.constrain(model.target.initial(jax.random.key(0), model.data), model.data)
    assert bool(jnp.all(variables["phi"] > 0))
    assert model.target.term_kinds["y"] == "likelihood"


def test_pictures_of_all_genes_are_small() -> None:
    rng, genes = np.random.default_rng(0), 22_369
    raw = rng.normal(size=genes)
    effects = Effects(0.2 * raw, np.full(genes, 0.1), raw, rng.lognormal(4.0, 2.0, genes), 1032)
    assert sum(len(picture.source) for picture in (volcano(effects), shrinkage(effects))) < 1e6


def test_raw_fold_changes_allow_for_the_library() -> None:
    """Twice the reads from a library of twice the size are no change; without reads the change is finite."""
    counts = np.array([[100, 100, 0], [200, 800, 0]])
    library = np.log([1.0, 2.0])
    found = raw_fold_changes(counts, library, np.array([0.0, 1.0]))
    np.testing.assert_allclose(found, [0.0, np.log2(400.5 / 100.5), 0.0], atol=1e-12)
