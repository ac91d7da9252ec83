"""A shipped data file with one bit changed, under its published checksum."""

from pathlib import Path

import pytest

from workflows.modelling import datasets


def flip_a_bit(monkeypatch: pytest.MonkeyPatch, folder: Path, dataset: str, name: str) -> None:
    """Let the data set be read from the folder, where its file `name` differs by one bit."""
    content = bytearray(datasets.read_verified(dataset, name))
    content[1000] ^= 1
    published = datasets.checksums(dataset)[name]
    (folder / dataset).mkdir()
    (folder / dataset / "SHA256SUMS").write_text(f"{published}  {name}\n")
    (folder / dataset / name).write_bytes(content)
    monkeypatch.setattr(datasets, "folder", lambda dataset: folder / dataset)
