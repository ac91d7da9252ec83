"""Roots of stores changed for tests, as a program that knows of their digest would change them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ensemble.store.disk.digests import of_bytes
from ensemble.store.root import UNSEALED


def edit_root(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the root of a store, and its digest of itself."""
    document = json.loads((path / "zarr.json").read_text())
    change(document)
    record = document["attributes"]["maxwell"]
    if isinstance(record, dict) and "digest" in record:
        record["digest"] = UNSEALED
        record["digest"] = of_bytes(json.dumps(document).encode())
    (path / "zarr.json").write_text(json.dumps(document))


def as_before_digests(document: dict[str, Any], version: int) -> None:
    """What a root said before stores had digests."""
    record = document["attributes"]["maxwell"]
    record["format_version"] = version
    del record["digest"], record["digests"]
    for named in record["checkpoints"]:
        del named["tails"]
