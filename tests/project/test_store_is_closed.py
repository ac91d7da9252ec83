"""Nothing outside ensemble/store opens a file of a store: modules use the package's face and name none of its files.

Kernels do no input or output at all (test_layers).
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.test_layers import ROOT, imported

HOME = "ensemble/store/"
FACE = ("opening", "protocol", "contents", "arviz_object", "arviz_schema")
"""The modules of ensemble.store that others may import."""
FILES = ("zarr.json", "coordinator.npz", "manifest.json", "checkpoint/", ".lock", "shard-")
OPENERS = ("open_datatree", "open_dataset", "open_zarr", "open_groups", "open_group", "open_mfdataset")


def violations_in(path: str, source: str) -> list[str]:
    """One line for each place of the file where it reaches into a store."""
    if path.startswith(HOME):
        return []
    tree = ast.parse(source)
    return [f"{path}:{line}: {what}" for line, what in (*_imports(path, source), *_openers(tree), *_names(tree))]


def _imports(path: str, source: str) -> Iterator[tuple[int, str]]:
    modules = (file.relative_to(ROOT).with_suffix("").parts for file in (ROOT / HOME).rglob("*.py"))
    inner = {".".join(parts) for parts in modules} - {f"ensemble.store.{name}" for name in FACE}
    for found in imported(source, ".".join(Path(path).parent.parts)):
        if found.module.split(".")[0] in ("zarr", "h5py", "h5netcdf") or found.module in inner:
            yield found.line, f"imports {found.module}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "ensemble.store":
            yield from ((node.lineno, f"imports {alias.name}") for alias in node.names if alias.name not in FACE)


def _openers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in OPENERS:
            yield node.lineno, f"calls {name}"


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            named = [file for file in FILES if file in node.value]
            if named or node.value == "checkpoint":
                yield node.lineno, f"names {node.value!r}"


@pytest.mark.parametrize("layer", ["ensemble", "workflows"])
def test_no_module_reaches_into_a_store(layer: str) -> None:
    bad = [
        line
        for file in sorted((ROOT / layer).rglob("*.py"))
        for line in violations_in(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
    ]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    "source",
    [
        "import zarr",
        "def f():\n    import zarr.storage",
        "from ensemble.store.writer import ZarrStore",
        "from ensemble.store import reader",
        "import ensemble.store.root",
        "from ensemble.store.checkpoint import FOLDER",
        "import xarray\nxarray.open_datatree(path)",
        "from xarray import open_zarr\nopen_zarr(path)",
        "np.load(path / 'checkpoint' / '3')",
        "open(f'{path}/coordinator.npz')",
        "(path / 'zarr.json').read_text()",
    ],
)
def test_a_planted_violation_is_found(source: str) -> None:
    assert len(violations_in("workflows/results/run.py", source)) == 1
    assert violations_in("ensemble/store/any.py", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "from ensemble.store.opening import reader",
        "from ensemble.store import opening as stores\nfrom ensemble.store.contents import Layout",
        "import xarray\nxarray.Dataset().to_zarr('export.zarr')",
        "checkpoint = store.load_checkpoint()",
        "def f():\n    '''Reads coordinator.npz.'''",
    ],
)
def test_what_is_allowed_is_left_alone(source: str) -> None:
    assert violations_in("workflows/results/run.py", source) == []
