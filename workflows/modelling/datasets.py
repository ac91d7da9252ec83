"""Data sets shipped with the project: files beside their provenance and checksums, verified whenever they are read."""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from ensemble.errors import MaxwellError
from workflows.modelling.registry import HOME


class DatasetError(MaxwellError):
    """A shipped data file is absent or is not the one that was published with this version."""


def folder(dataset: str) -> Traversable:
    """Where the files of a data set lie: in the folder of the model of its name."""
    return files(f"{HOME}.{dataset}").joinpath("data")


def checksums(dataset: str) -> dict[str, str]:
    """File name -> published SHA-256 of the data set's files, from its SHA256SUMS."""
    listing = folder(dataset).joinpath("SHA256SUMS").read_text(encoding="utf-8")
    pairs = (line.split() for line in listing.splitlines() if line.strip())
    return {name: digest for digest, name in pairs}


def read_verified(dataset: str, name: str) -> bytes:
    """The bytes of one shipped file.

    Raises DatasetError where the file is not listed, absent, or differs from its published checksum.
    """
    published = checksums(dataset)
    if name not in published:
        raise DatasetError(f"data set {dataset!r} has no file {name!r}; it has {', '.join(sorted(published))}")
    path = folder(dataset).joinpath(name)
    if not path.is_file():
        raise DatasetError(f"{path} is missing: reinstall the project, or restore the file from version control")
    content = path.read_bytes()
    check(f"{dataset}/{name}", content, published[name])
    return content


def check(label: str, content: bytes, published: str) -> None:
    """Raise DatasetError unless the content has the published SHA-256."""
    found = hashlib.sha256(content).hexdigest()
    if found != published:
        raise DatasetError(
            f"data file {label} has SHA-256 {found}, published {published}: the file was changed; "
            "restore it from version control, or reinstall the project"
        )
