"""Counts laid out as genes by samples, in the order of the sheet, with every fault of the matrix said."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from workflows.models.genes.inputs.files import Table
from workflows.models.genes.inputs.problems import Unusable, repeated, some

ANNOTATIONS = frozenset({"Chr", "Start", "End", "Strand", "Length"})
"""Columns that featureCounts writes before the samples'."""
SYMBOLS = frozenset({"symbol", "gene_symbol", "gene_name", "external_gene_name", "hgnc_symbol", "symbols", "genename"})
"""What columns of gene names are called, in small letters."""
TALLIES = "__"
"""How the rows begin in which htseq-count tells of reads that belong to no gene."""
LARGEST = 2**31 - 1
GIANT = 10**300


class Matrix(NamedTuple):
    """values: [gene, sample] as given, of any type. genes; samples: names. annotations: by gene, of every column that
    tells of genes."""

    values: pd.DataFrame
    annotations: pd.DataFrame

    @property
    def genes(self) -> list[str]:
        """Names of the rows."""
        return list(self.values.index)


def laid_out(table: Table, samples: list[str], symbols: str | None) -> Matrix:
    """The matrix with genes as rows, whichever way round it came: by where the names of the samples are.

    symbols: the column of gene names, where the user named one. Columns that are neither samples nor annotations stay,
    for `columns_problems` to say so.
    """
    frame, annotations, known = table.frame, table.rows, set(samples)
    if len(known & set(frame.index)) > len(known & set(frame.columns)):
        frame, annotations = frame.T, table.columns
    extra = [place for place, name in enumerate(frame.columns) if name not in known and _tells(name, symbols)]
    kept = [place for place in range(frame.shape[1]) if place not in set(extra)]
    if extra:
        annotations = pd.concat([annotations, frame.iloc[:, extra]], axis=1)
    return Matrix(frame.iloc[:, kept], annotations)


def _tells(name: str, symbols: str | None) -> bool:
    return name == symbols or name in ANNOTATIONS or name.lower() in SYMBOLS


def without_tallies(matrix: Matrix) -> Matrix:
    """The matrix without the rows that count reads of no gene."""
    kept = np.array([not name.startswith(TALLIES) for name in matrix.genes], dtype=bool)
    return Matrix(matrix.values[kept], matrix.annotations[kept])


def name_problems(matrix: Matrix, samples: list[str]) -> list[str]:
    """Names that are there twice, and samples that the counts or the sheet lack."""
    problems = []
    columns = list(matrix.values.columns)
    if twice := repeated(matrix.genes):
        problems.append(f"counts: {len(twice):,} gene ids are there more than once ({some(twice)}): sum or rename them")
    if twice := repeated(columns):
        problems.append(f"counts: samples are there more than once: {some(twice)}")
    if twice := repeated(samples):
        problems.append(f"samples: the sheet has samples more than once: {some(twice)}")
    if lacking := [name for name in dict.fromkeys(samples) if name not in set(columns)]:
        problems.append(f"samples: the sheet names {some(lacking)}, which the counts lack; those have {some(columns)}")
    if unknown := [name for name in dict.fromkeys(columns) if name not in set(samples)]:
        problems.append(
            f"samples: the counts have {some(unknown)}, which the sheet lacks: add them to it, or leave them out of "
            "the counts (a column of gene names is given as symbols)"
        )
    return problems


def whole_counts(values: pd.DataFrame) -> np.ndarray:
    """[gene, sample] as int64. Raises Unusable with all that is wrong in the values."""
    numbers = _numbers(values)
    faults = {
        "not a number (text)": numbers.text,
        "missing (NaN)": np.isnan(numbers.values) & ~numbers.text,
        "negative": numbers.values < 0,
        "infinite or above 2,147,483,647": numbers.values > LARGEST,
        "not whole": np.isfinite(numbers.values) & (numbers.values != np.floor(numbers.values)),
    }
    problems = [_fault(values, what, where) for what, where in faults.items() if where.any()]
    if "not whole" in " ".join(problems):
        problems[-1] += "; the model is of reads as counted, neither normalised nor logarithms: estimated counts are "
        problems[-1] += "to be rounded first"
    if not problems and (empty := list(values.columns[numbers.values.sum(axis=0) == 0])):
        problems.append(f"counts: no reads at all in {some(empty)}: leave such samples out")
    if problems:
        raise Unusable(*problems)
    return numbers.values.astype(np.int64)


class _Numbers(NamedTuple):
    """values: floats, NaN where there are none. text: where a value is there that is no number."""

    values: np.ndarray
    text: np.ndarray


def _without_giants(column: pd.Series) -> pd.Series:
    """The column with infinity for whole numbers that no float reaches, which pandas cannot convert."""
    return column.map(lambda value: np.inf if isinstance(value, int) and abs(value) > GIANT else value)


def _numbers(values: pd.DataFrame) -> _Numbers:
    if all(dtype.kind in "iufb" for dtype in values.dtypes):
        found = values.to_numpy(dtype=float, na_value=np.nan)
        return _Numbers(found, np.zeros(found.shape, bool))
    columns = [
        pd.to_numeric(_without_giants(values.iloc[:, place]), errors="coerce") for place in range(values.shape[1])
    ]
    found = np.stack([column.to_numpy(dtype=float, na_value=np.nan) for column in columns], axis=1)
    return _Numbers(found, np.isnan(found) & ~values.isna().to_numpy())


def _fault(values: pd.DataFrame, what: str, where: np.ndarray) -> str:
    """A sentence on the values of one fault, with the first of them."""
    row, column = (int(places[0]) for places in np.nonzero(where))
    first = f"{values.iloc[row, column]!s} of {values.index[row]} in {values.columns[column]}"
    number = int(where.sum())
    return f"counts: {number:,} value{' is' if number == 1 else 's are'} {what}, the first {first}"
