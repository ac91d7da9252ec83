"""Counts, samples and design of an experiment, checked together before any work."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workflows.models.genes.inputs.design import Design, design_of, sheet_of
from workflows.models.genes.inputs.files import Table, is_file, table
from workflows.models.genes.inputs.matrix import (
    SYMBOLS,
    Matrix,
    laid_out,
    name_problems,
    whole_counts,
    without_tallies,
)
from workflows.models.genes.inputs.packaged import NAMES, packaged
from workflows.models.genes.inputs.problems import Unusable
from workflows.settings.errors import SettingsError


class Given(NamedTuple):
    """What a user gives; see `workflows.models.genes.build.build`."""

    counts: Any
    samples: Any
    design: Any
    effect: Any
    symbols: Any


class Experiment(NamedTuple):
    """counts: [gene, sample] int64. genes: [gene] ids. symbols: [gene] names, empty where not known. samples: [sample]
    names. design: its columns, in the order of the samples."""

    counts: np.ndarray
    genes: np.ndarray
    symbols: np.ndarray
    samples: np.ndarray
    design: Design


def experiment(given: Given) -> Experiment:
    """The experiment. Raises SettingsError, which lists everything that is wrong with what was given."""
    problems: list[str] = []
    if given.counts is None:
        raise _wrong([f"counts: missing; give a file, a pandas DataFrame, an AnnData object or {' or '.join(NAMES)}"])
    if isinstance(given.counts, str) and given.counts in NAMES:
        ready = packaged(given.counts)
        given = given._replace(
            counts=ready.counts,
            samples=ready.samples if given.samples is None else given.samples,
            symbols=ready.symbols if given.symbols is None else given.symbols,
        )
    counts = _attempt(problems, "counts", lambda: _as_table(given.counts))
    sheet = _attempt(problems, "samples", lambda: _sheet(given.samples, counts))
    design = None if sheet is None else _attempt(problems, "", lambda: design_of(given.design, sheet, given.effect))
    found = None
    if counts is not None and sheet is not None:
        found = _attempt(problems, "", lambda: _counted(counts, list(sheet.index), given.symbols))
    if problems or found is None or design is None or sheet is None:
        raise _wrong(problems)
    matrix, values, symbols = found
    return Experiment(values, np.array(matrix.genes), symbols, np.array(list(sheet.index)), design)


def _wrong(problems: list[str]) -> SettingsError:
    return SettingsError("the counts, samples and design given to model genes", problems)


def _attempt(problems: list[str], what: str, work: Any) -> Any:
    """What `work` returns, or None with its reasons added to the problems."""
    try:
        return work()
    except Unusable as error:
        problems += [f"{what}: {problem}" if what else problem for problem in error.problems]
        return None


def _as_table(source: Any) -> Table:
    return source if isinstance(source, Table) else table(source)


def _sheet(source: Any, counts: Table | None) -> pd.DataFrame | None:
    """The sheet of samples, by sample; that of an AnnData object (obs) where none is given."""
    if source is not None:
        return sheet_of(table(source).frame)
    if counts is None:
        return None
    if counts.rows.shape[1] == 0:
        raise Unusable("missing; give a sheet of the samples (a file or a pandas DataFrame), names in its first column")
    return sheet_of(counts.rows)


def _counted(table: Table, samples: list[str], symbols: Any) -> tuple[Matrix, np.ndarray, np.ndarray]:
    """The matrix in the order of the samples, its values, and names of the genes. Raises Unusable."""
    column = symbols if isinstance(symbols, str) and not is_file(symbols) else None
    matrix = without_tallies(laid_out(table, samples, column))
    problems = name_problems(matrix, samples)
    known = [name for name in samples if name in matrix.values.columns]
    values = None
    if known and len(set(matrix.values.columns)) == matrix.values.shape[1]:
        ordered = matrix.values.loc[:, list(dict.fromkeys(known))]
        values = _attempt(problems, "", lambda: whole_counts(ordered))
    names = _attempt(problems, "symbols", lambda: _symbols(symbols, column, matrix))
    if problems or values is None:
        raise Unusable(*problems)
    return matrix, values, names


def _symbols(source: Any, column: str | None, matrix: Matrix) -> np.ndarray:
    """[gene] names of the genes: from a file or mapping by gene id, or from a column of the counts or of var."""
    if source is None or column is not None:
        return _named_in(column, matrix)
    if isinstance(source, (Mapping, pd.Series)):
        names = {str(gene): name for gene, name in source.items()}
    else:
        frame = table(source).frame
        if frame.shape[1] == 0:
            raise Unusable(f"{source} has one column: give gene ids in the first and names in the second")
        names = dict(zip(frame.index, frame.iloc[:, 0], strict=True))
    found = np.array([_text(names.get(gene)) for gene in matrix.genes], dtype=str)
    if matrix.genes and not (found != "").any():
        raise Unusable(
            f"no gene id of the counts (first {matrix.genes[0]}) is among those given (first {next(iter(names), '')})"
        )
    return found


def _named_in(column: str | None, matrix: Matrix) -> np.ndarray:
    columns = list(matrix.annotations.columns)
    if column is not None and column not in columns:
        raise Unusable(
            f"{column!r} is neither a file nor a column of the counts; columns that tell of genes: "
            f"{', '.join(map(str, columns)) or 'none'}"
        )
    likely = [name for name in columns if str(name).lower() in SYMBOLS]
    chosen = column if column is not None else next(iter(likely), None)
    if chosen is None:
        return np.full(len(matrix.genes), "", dtype=str)
    return np.array([_text(name) for name in matrix.annotations[chosen]], dtype=str)


def _text(name: Any) -> str:
    return "" if name is None or pd.isna(name) else str(name)
