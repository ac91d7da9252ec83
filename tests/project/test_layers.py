"""What import-linter cannot say of the layers (its contracts are in pyproject.toml, `make lint` runs it).

Of other packages kernels import arithmetic only; and modules that are named in text, for import_module or as
module:function, keep to the same arrows as those that are imported by a statement. Nothing is run.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("kernels", "ensemble", "workflows")
RAY_FILES = ("ensemble/fleet/ray_connection.py", "ensemble/fleet/ray_fleet.py")
KERNELS_MAY_IMPORT = {"kernels", "jax", "numpy", "scipy"} | set(sys.stdlib_module_names)
"""Of the standard library import-linter forbids what is not for kernels."""
NAMED = re.compile(rf"(?:{'|'.join(LAYERS)})(?:\.\w+)+(?::\w+)?")
"""A module of the project, or a function of one, in text."""


class Named(NamedTuple):
    """A module that a file names.

    line: where.
    module: absolute dotted name, with :function where text has one.
    """

    line: int
    module: str


def imported(source: str, package: str) -> Iterator[Named]:
    """Modules of import statements at any depth, in a module of `package` (dotted)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Named(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Named(node.lineno, absolute_name(node, package))


def absolute_name(node: ast.ImportFrom, package: str) -> str:
    """The module that `from ... import` names, relative dots resolved against `package`."""
    if node.level == 0:
        return node.module or ""
    parents = package.split(".")
    base = parents[: len(parents) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def in_text(source: str) -> Iterator[Named]:
    """Modules of the project that are the whole of a text, and what import_module and __import__ are given as text."""
    seen: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            seen.update(node.args)
            yield from (Named(node.lineno, text) for text in map(text_of, node.args[:1]) if text)
        elif node not in seen and NAMED.fullmatch(text_of(node)):
            yield Named(node.lineno, text_of(node))


def called(node: ast.Call) -> str:
    """The last name of what is called: `import_module` for `importlib.import_module(...)`."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def text_of(node: ast.AST) -> str:
    """The text of a literal; an f-string up to its first gap, and anything else, as nothing."""
    if isinstance(node, ast.JoinedStr) and node.values:
        return text_of(node.values[0])
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def complaint_of_import(path: str, module: str) -> str | None:
    """Why the file at `path` (relative, posix) may not import `module`; None where it may."""
    if module.split(".")[0] == "maxwell":
        return "maxwell.py is for users: it imports the layers"
    if path.startswith("kernels/") and module.split(".")[0] not in KERNELS_MAY_IMPORT:
        return "of other packages, kernels import jax, numpy and scipy only"
    return None


def complaint_of_text(path: str, named: str) -> str | None:
    """Why the file at `path` may not name the module in text; None where it may."""
    layer, module = path.split("/")[0], named.partition(":")[0]
    top, home = module.split(".")[0], "/".join(module.split(".")[:3])
    if top in LAYERS and LAYERS.index(top) > LAYERS.index(layer):
        return f"{layer} is below {top}"
    if top == "maxwell":
        return "maxwell is the face of all layers, for users"
    if top == "ray" and path not in RAY_FILES:
        return f"only {' and '.join(RAY_FILES)} import ray"
    if path.startswith("workflows/studies/"):
        return None
    if module.startswith("workflows.studies"):
        return "only studies know of studies"
    if module.startswith("workflows.models.") and not path.startswith(f"{home}/"):
        return "the registry finds models by their folders"
    return None


def violations_in(path: str, source: str) -> list[str]:
    """One line, `path:line names module: why not`, for each that the file may not name."""
    package = ".".join(Path(path).parent.parts)
    found = [(item, complaint_of_import(path, item.module)) for item in imported(source, package)]
    found += [(item, complaint_of_text(path, item.module)) for item in in_text(source)]
    return [f"{path}:{item.line} names {item.module}: {reason}" for item, reason in found if reason]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_module_that_the_layer_names_is_allowed(layer: str) -> None:
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files, f"no Python file in {layer}/: the test would hold for an empty tree"
    bad = [line for file in files for line in violations_in(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("kernels/transitions/hmc.py", "import zarr"),
        ("kernels/transitions/hmc.py", "def f():\n    import arviz as az"),
        ("kernels/transitions/hmc.py", "from pydantic import BaseModel"),
        ("workflows/cli/main.py", "import maxwell"),
        ("kernels/transitions/hmc.py", "HOME = 'ensemble.fleet.local:LocalFleet'"),
        ("ensemble/store/writer.py", "import importlib\nimportlib.import_module('ray.util')"),
        ("ensemble/store/writer.py", "FACTORY = 'workflows.modelling.registry:build'"),
        ("workflows/cli/submit.py", "ray = __import__('ray')"),
        ("workflows/cli/submit.py", "from importlib import import_module\nimport_module('workflows.studies.watched')"),
        ("workflows/results/tables/own.py", "import importlib\nimportlib.import_module(f'workflows.models.{name}')"),
        ("workflows/results/tables/own.py", "HOMES = {'airway': 'workflows.models.airway.table:lines'}"),
        ("workflows/models/glmm/__init__.py", "stock = 'workflows.models.airway.stock:stock'"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str) -> None:
    assert len(violations_in(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("kernels/transitions/hmc.py", "import jax.numpy as jnp\nfrom scipy import special\nimport functools"),
        ("kernels/transitions/hmc.py", "from . import types\nfrom ..target import Target\nfrom kernels import state"),
        ("ensemble/fleet/ray_fleet.py", "import importlib\nimportlib.import_module('ray')"),
        ("workflows/sampling/problem.py", "FACTORY = 'workflows.modelling.registry:build'"),
        ("workflows/models/glmm/__init__.py", "stock = 'workflows.models.glmm.stock:stock'"),
        ("workflows/modelling/registry.py", "import importlib\nimportlib.import_module(name)"),
        ("workflows/studies/depth/targets.py", "HOME = 'workflows.studies.depth.brownian'"),
    ],
)
def test_an_allowed_name_is_left_alone(path: str, source: str) -> None:
    assert violations_in(path, source) == []


def test_relative_imports_resolve_against_the_package_of_the_file() -> None:
    source = "from . import a\nfrom .b import c\nfrom ..d import e\nfrom .. import f"
    found = imported(source, "workflows.models")
    assert [item.module for item in found] == ["workflows.models", "workflows.models.b", "workflows.d", "workflows"]
