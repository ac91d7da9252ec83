"""Data sets that come with the program, by name in place of a file: `model.counts=airway`."""

import gzip
import io
from typing import NamedTuple

import pandas as pd

from workflows.modelling.datasets import read_verified
from workflows.models.genes.inputs.files import Table

NAMES = ("airway",)


class Packaged(NamedTuple):
    """counts: [gene, sample]. samples: the sheet. symbols: names of some genes, by id."""

    counts: Table
    samples: pd.DataFrame
    symbols: pd.Series


def packaged(name: str) -> Packaged:
    """The data set of that name. Raises DatasetError where a file was changed."""
    counts = _table(gzip.decompress(read_verified(name, "counts.tsv.gz")))
    symbols = _table(read_verified(name, "symbols.tsv"))
    nothing = Table(counts, pd.DataFrame(index=counts.index), pd.DataFrame(index=counts.columns))
    return Packaged(nothing, _table(read_verified(name, "samples.tsv")), symbols["symbol"])


def _table(content: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(content), sep="\t", index_col=0)
