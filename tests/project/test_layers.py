"""The layers hold: workflows -> ensemble -> kernels, kernels import arithmetic only, and one file imports Ray.

The rules are read off the syntax trees: an import inside a function or under TYPE_CHECKING counts, and nothing is run.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("kernels", "ensemble", "workflows")
RAY_FILE = "ensemble/fleet/ray_fleet.py"
KERNELS_MAY_IMPORT = {"kernels", "jax", "numpy", "scipy"}
# Standard library modules that do I/O, configuration, logging, processes or unseeded randomness.
KERNELS_MAY_NOT_IMPORT = {
    "argparse",
    "asyncio",
    "concurrent",
    "configparser",
    "csv",
    "glob",
    "gzip",
    "io",
    "json",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "pickle",
    "random",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "tomllib",
    "urllib",
}


class Import(NamedTuple):
    """One imported module, by its absolute dotted name, and the line that asks for it."""

    line: int
    module: str


def imports_of(source: str, package: str) -> Iterator[Import]:
    """Every import in `source`, a module of `package` (dotted): statements at any depth and import_module("name")."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.lineno, absolute_name(node, package))
        elif isinstance(node, ast.Call) and called_name(node) in ("import_module", "__import__"):
            yield from (Import(node.lineno, name) for arg in node.args[:1] for name in literal_text(arg))


def absolute_name(node: ast.ImportFrom, package: str) -> str:
    """The module that `from ... import` names, relative dots resolved against `package`."""
    if node.level == 0:
        return node.module or ""
    parents = package.split(".")
    base = parents[: len(parents) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def called_name(node: ast.Call) -> str:
    """The last name of what is called: `import_module` for `importlib.import_module(...)`."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def literal_text(node: ast.expr) -> list[str]:
    """The text of a string literal, as a list of one; empty for any other expression."""
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def complaint(path: str, module: str) -> str | None:
    """Why the file at `path` (relative, posix) may not import `module`; None where it may."""
    layer, top = path.split("/")[0], module.split(".")[0]
    if top in LAYERS and LAYERS.index(top) > LAYERS.index(layer):
        return f"{layer} is below {top}"
    if top == "maxwell":
        return "maxwell is the face of all layers, for users"
    if top == "ray" and path != RAY_FILE:
        return f"only {RAY_FILE} imports ray"
    if layer == "kernels" and top in KERNELS_MAY_NOT_IMPORT:
        return "kernels do no I/O, configuration, logging, processes or randomness of their own"
    if layer == "kernels" and top not in KERNELS_MAY_IMPORT | set(sys.stdlib_module_names):
        return f"of other packages, kernels import {', '.join(sorted(KERNELS_MAY_IMPORT - {'kernels'}))} only"
    return None


def violations_in(path: str, source: str) -> list[str]:
    """One line, `path:line imports module: why not`, for each forbidden import of the file."""
    package = ".".join(Path(path).parent.parts)
    found = ((item, complaint(path, item.module)) for item in imports_of(source, package))
    return [f"{path}:{item.line} imports {item.module}: {reason}" for item, reason in found if reason]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_import_of_the_layer_is_allowed(layer: str) -> None:
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files, f"no Python file in {layer}/: the test would hold for an empty tree"
    bad = [line for file in files for line in violations_in(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("kernels/transitions/hmc.py", "import ensemble.fleet.local"),
        ("kernels/transitions/hmc.py", "from workflows import model"),
        ("kernels/transitions/hmc.py", "def f():\n    import ray"),
        ("kernels/transitions/hmc.py", "import zarr"),
        ("kernels/transitions/hmc.py", "import arviz as az"),
        ("kernels/transitions/hmc.py", "import numpyro.distributions"),
        ("kernels/transitions/hmc.py", "import yaml"),
        ("kernels/transitions/hmc.py", "from pydantic import BaseModel"),
        ("kernels/transitions/hmc.py", "import logging.handlers"),
        ("kernels/transitions/hmc.py", "import jax, random"),
        ("ensemble/store/writer.py", "from workflows.cli.main import main"),
        ("ensemble/store/writer.py", "if TYPE_CHECKING:\n    from ray import ObjectRef"),
        ("ensemble/store/writer.py", "import importlib\nimportlib.import_module('ray.util')"),
        ("ensemble/rooms/store.py", "from ...workflows import model"),
        ("workflows/studies/watched.py", "import maxwell"),
        ("workflows/submit.py", "import ray"),
        ("workflows/submit.py", "ray = __import__('ray')"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str) -> None:
    assert len(violations_in(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "kernels/transitions/hmc.py",
            "import jax.numpy as jnp\nimport numpy as np\nfrom scipy import special\nimport functools",
        ),
        (
            "kernels/transitions/hmc.py",
            "from . import types\nfrom .target import Target\nfrom kernels.dynamics.metric import Metric",
        ),
        ("ensemble/fleet/ray_fleet.py", "import ray\nfrom kernels import types\nfrom .fleet import Fleet"),
        ("ensemble/store/writer.py", "import zarr\nimport arrays_ray\nfrom .ray_fleet import RayFleet"),
        (
            "workflows/frontends/pymc.py",
            "from ..model import Model\nimport ensemble\nimport kernels.target\nimport yaml",
        ),
        ("workflows/modelling/model.py", "import importlib\nimportlib.import_module(name)"),
    ],
)
def test_an_allowed_import_is_left_alone(path: str, source: str) -> None:
    assert violations_in(path, source) == []


def test_relative_imports_resolve_against_the_package_of_the_file() -> None:
    source = "from . import a\nfrom .b import c\nfrom ..d import e\nfrom .. import f"
    found = imports_of(source, "workflows.models")
    assert [item.module for item in found] == ["workflows.models", "workflows.models.b", "workflows.d", "workflows"]
