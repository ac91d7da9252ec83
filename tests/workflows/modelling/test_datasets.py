"""The shipped airway data: checksums, the kept genes, library sizes, subsets."""

import hashlib

import pytest

from workflows.modelling import datasets
from workflows.modelling.datasets import DatasetError


def test_every_listed_file_has_its_published_checksum() -> None:
    published = datasets.checksums("airway")
    assert set(published) == {"counts.tsv.gz", "samples.tsv", "symbols.tsv"}
    for name, digest in published.items():
        assert hashlib.sha256(datasets.read_verified("airway", name)).hexdigest() == digest


def test_a_changed_file_is_refused() -> None:
    content = datasets.read_verified("airway", "samples.tsv")
    with pytest.raises(DatasetError, match=r"airway/samples.tsv has SHA-256 .* the file was changed"):
        datasets.check("airway/samples.tsv", content + b"\n", datasets.checksums("airway")["samples.tsv"])


def test_an_unknown_file_is_refused_with_what_there_is() -> None:
    with pytest.raises(DatasetError, match=r"no file 'other.tsv'; it has counts.tsv.gz, samples.tsv"):
        datasets.read_verified("airway", "other.tsv")
