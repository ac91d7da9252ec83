"""The shipped airway data: checksums, the kept genes, library sizes, subsets."""

import hashlib

import numpy as np
import pytest

from workflows.modelling import datasets
from workflows.modelling.datasets import DatasetError
from workflows.models.airway import dataset as airway


def test_every_listed_file_has_its_published_checksum() -> None:
    published = datasets.checksums("airway")
    assert set(published) == {"counts.tsv.gz", "samples.tsv"}
    for name, digest in published.items():
        assert hashlib.sha256(datasets.read_verified("airway", name)).hexdigest() == digest


def test_a_changed_file_is_refused() -> None:
    content = datasets.read_verified("airway", "samples.tsv")
    with pytest.raises(DatasetError, match=r"airway/samples.tsv has SHA-256 .* the file was changed"):
        datasets.check("airway/samples.tsv", content + b"\n", datasets.checksums("airway")["samples.tsv"])


def test_an_unknown_file_is_refused_with_what_there_is() -> None:
    with pytest.raises(DatasetError, match=r"no file 'other.tsv'; it has counts.tsv.gz, samples.tsv"):
        datasets.read_verified("airway", "other.tsv")


def test_kept_genes_and_library_sizes() -> None:
    data = airway.load()
    assert data.counts.shape == (8, 22_369)
    assert data.counts.sum(axis=0).min() >= airway.MINIMUM_READS
    np.testing.assert_allclose(data.library, np.log(data.counts.sum(axis=1)) - np.log(data.counts.sum(axis=1)).mean())
    assert data.library.sum() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(data.treated, [0, 1, 0, 1, 0, 1, 0, 1])
    assert sorted(set(data.cell_lines)) == ["N052611", "N061011", "N080611", "N61311"]
    assert data.genes[0] == "ENSG00000000003"
    np.testing.assert_array_equal(data.counts[:, 0], [679, 448, 873, 408, 1138, 1047, 770, 572])


def test_a_subset_keeps_the_library_sizes_of_all_genes() -> None:
    whole, part = airway.load(), airway.load(2000)
    chosen = np.sort(np.random.default_rng(0).choice(22_369, 2000, replace=False))
    np.testing.assert_array_equal(part.genes, whole.genes[chosen])
    np.testing.assert_array_equal(part.counts, whole.counts[:, chosen])
    np.testing.assert_array_equal(part.library, whole.library)


@pytest.mark.parametrize("genes", [0, 22_370])
def test_an_impossible_subset_is_refused(genes: int) -> None:
    with pytest.raises(ValueError, match=r"choose between 1 and 22369"):
        airway.load(genes)
