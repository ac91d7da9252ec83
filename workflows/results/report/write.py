"""From a store to a file: what `maxwell report` does."""

import os
from pathlib import Path

from ensemble.errors import MaxwellError
from workflows.results.report.facts import Facts
from workflows.results.report.page import page


class ReportError(MaxwellError):
    """The report cannot be written where it was asked for."""


def default_output(store: str | Path) -> Path:
    """Beside the store, under its name: runs/airway.html for runs/airway.zarr."""
    path = Path(store).resolve()
    return path.with_name(f"{path.name.removesuffix('.zip').removesuffix('.zarr')}.html")


def write_report(store: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run to `out` (by default beside the store) and return where it is.

    A file that is there already is replaced, as a whole. Raises StoreError where there is no store, ReportError where
    `out` cannot be written; that is found out before the work, not after it.
    """
    facts = Facts(store)
    path = Path(out) if out is not None else default_output(store)
    draft = _writable(path)
    try:
        text = page(facts)
        try:
            draft.write_text(text, "utf-8")
            draft.replace(path)
        except OSError as error:
            raise _refusal(path, error.strerror or str(error)) from error
    finally:
        draft.unlink(missing_ok=True)
    return path


def _writable(path: Path) -> Path:
    """An empty file beside `path`, to be filled and renamed."""
    if path.is_dir():
        raise _refusal(path, "it is a folder")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.touch()
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error
    return draft


def _refusal(path: Path, why: str) -> ReportError:
    return ReportError(
        f"cannot write the report to {path}: {why}. Name a file in a folder you may write to: --out FILE"
    )
