"""Tables as they lie in files: tab- and comma-separated text (gzip too), Parquet, AnnData; nothing is judged yet."""

import csv
import gzip
import importlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workflows.models.genes.inputs.problems import Unusable

SEPARATORS = {".tsv": "\t", ".txt": "\t", ".tab": "\t", ".csv": ","}
PARQUET, ANNDATA = (".parquet", ".pq"), ".h5ad"
KINDS = (*SEPARATORS, *PARQUET, ANNDATA)
"""Endings of files that can be read."""


class Table(NamedTuple):
    """A table with names on both sides.

    frame: its index and columns are text. rows, columns: what else is known of each row and column (AnnData's obs and
    var); empty where nothing is.
    """

    frame: pd.DataFrame
    rows: pd.DataFrame
    columns: pd.DataFrame


def table(source: Any) -> Table:
    """The table in a file, a DataFrame or an AnnData object. Raises Unusable."""
    if isinstance(source, (str, Path)):
        return _read(Path(source))
    if all(hasattr(source, part) for part in ("X", "obs", "var")):
        return _of_anndata(source)
    if isinstance(source, pd.DataFrame):
        return _named(source)
    raise Unusable(f"{type(source).__name__} was given: give a file, a pandas DataFrame or an AnnData object")


def is_file(text: str) -> bool:
    """Whether a text names a file: one that is there, or by its ending one that should be."""
    return Path(text).is_file() or _kind(Path(text)) in KINDS


def _kind(path: Path) -> str:
    """The ending that says how a file is read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]


def _read(path: Path) -> Table:
    kind = _kind(path)
    if kind not in KINDS:
        raise Unusable(
            f"{path}: its ending {kind or '(none)'!r} is not known; allowed: {', '.join(KINDS)}; text also with .gz"
        )
    if not path.is_file():
        raise Unusable(f"there is no file {path} (looked for in {Path.cwd()})")
    try:
        if kind == ANNDATA:
            return _of_anndata(_package("anndata").read_h5ad(path))
        if kind in PARQUET:
            _package("pyarrow", "parquet")
            return _named(pd.read_parquet(path))
        return _named(_text(path, SEPARATORS[kind]))
    except (OSError, EOFError, ValueError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise Unusable(f"{path} cannot be read: {error}") from error


def _package(name: str, extra: str | None = None) -> Any:
    """An optional package."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Unusable(f"the package {name} is not installed: pip install 'maxwell[{extra or name}]'") from error


def _text(path: Path, separator: str) -> pd.DataFrame:
    """Separated text with one line of names, after lines that begin with # (featureCounts writes one).

    As R writes it, the line of names may be one shorter than the others, whose first field is then the row's name.
    Names are read by hand: pandas changes those that are there twice.
    """
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    skipped = 0
    with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
        for line in lines:
            skipped += 1
            if line.strip() and not line.startswith("#"):
                break
        else:
            raise ValueError("it is empty")
        names = next(csv.reader([line.rstrip("\r\n")], delimiter=separator))
    try:
        body = pd.read_csv(path, sep=separator, header=None, skiprows=skipped, dtype={0: str}, low_memory=False)
    except pd.errors.EmptyDataError:
        raise ValueError("it has names and no rows") from None
    if body.shape[1] not in (len(names), len(names) + 1):
        raise ValueError(f"its names are {len(names)} and its rows have {body.shape[1]} fields")
    body.columns = pd.Index([""] * (body.shape[1] - len(names)) + names)
    return _first_as_index(body)


def _named(frame: pd.DataFrame) -> Table:
    """The names of the rows are the index or, where that only counts them, the first column."""
    if isinstance(frame.index, pd.RangeIndex) and frame.shape[1]:
        frame = _first_as_index(frame)
    frame = frame.set_axis([str(name) for name in frame.index], axis=0)
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    return Table(frame, pd.DataFrame(index=frame.index), pd.DataFrame(index=frame.columns))


def _first_as_index(frame: pd.DataFrame) -> pd.DataFrame:
    # By position: names may be there twice.
    return frame.iloc[:, 1:].set_axis(pd.Index(frame.iloc[:, 0].astype(str), dtype=object), axis=0)


def _of_anndata(data: Any) -> Table:
    if data.X is None:
        raise Unusable("the AnnData object has no X: put the counts there")
    values = data.X.toarray() if hasattr(data.X, "toarray") else np.asarray(data.X)
    rows, columns = ([str(name) for name in names] for names in (data.obs_names, data.var_names))
    frame = pd.DataFrame(values, index=rows, columns=columns)
    return Table(frame, data.obs.set_axis(rows, axis=0), data.var.set_axis(columns, axis=0))
