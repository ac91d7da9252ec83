"""A model's whole table as a file."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from ensemble.errors import MaxwellError
from ensemble.surroundings import why_not_made
from workflows.modelling.registry import entries, entry_of, part
from workflows.results.protocol import StoredRun

if TYPE_CHECKING:
    import pandas as pd

TEXT = {".tsv": "\t", ".csv": ","}
PARQUET = ".parquet"


class TableError(MaxwellError):
    """The table cannot be had, or not be written there."""


def write(run: StoredRun, path: Path) -> None:
    """Write the table of the run's model to `path`: .tsv, .csv (both also with .gz) or .parquet.

    Raises TableError, before the table is made, for a path that cannot be written, a model without such a table and a
    run without draws.
    """
    _require_new(path)
    table = frame(run)
    if _kind(path) == PARQUET:
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, sep=TEXT[_kind(path)], index=False)


def frame(run: StoredRun) -> "pd.DataFrame":
    """The table of the run's model. Raises TableError where it has none, or there are no draws yet."""
    attributes = run.attributes
    shipped = entry_of(attributes)
    if shipped is None or shipped.frame is None:
        able = ", ".join(name for name, other in entries().items() if other.frame is not None)
        raise TableError(f"model {attributes['model']!r} has no table for a file; models that have: {able}")
    if attributes["summary"]["draws"] == 0:
        raise TableError(f"{run.path} has no draws yet: let the run reach its stage `sample`")
    found: pd.DataFrame = part(shipped.frame)(run)
    return found


def _kind(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _require_new(path: Path) -> None:
    if _kind(path) not in (*TEXT, PARQUET) or (_kind(path) == PARQUET) > (path.suffix.lower() == PARQUET):
        raise TableError(f"{path} was given; the file must end in {', '.join(TEXT)} (also with .gz) or {PARQUET}")
    if not path.absolute().parent.is_dir():
        raise TableError(f"{path} was given, but there is no folder {path.absolute().parent}: make it first")
    if (why := why_not_made(path)) is not None:
        raise TableError(f"{path} cannot be written: {why}. Name a file in a folder you may write to")
    if path.exists():
        raise TableError(f"{path} exists already: remove it or name another file")
    if _kind(path) == PARQUET:
        try:
            importlib.import_module("pyarrow")
        except ImportError as error:
            raise TableError(f"{path} needs the package pyarrow: pip install 'maxwell[parquet]'") from error
