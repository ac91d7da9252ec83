"""Files, folders, functions and signatures of the product stay small enough to be read."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES, FILES, FUNCTION, PARAMETERS = 400, 15, 60, 8
"""Most lines of a file, Python files of a folder, lines of a function, parameters of a function."""

FRONT_ENDS = {
    "workflows/modelling/frontends/function.py:function_model",
    "workflows/modelling/frontends/pseudo_marginal.py:pseudo_marginal_model",
    "workflows/models/genes/build.py:build",
}
"""What users call by keywords may have more parameters."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    """Every module of the project, relative to its root."""
    found = [file for layer in ("kernels", "ensemble", "workflows") for file in sorted((ROOT / layer).rglob("*.py"))]
    return [file.relative_to(ROOT) for file in [*found, *ROOT.glob("maxwell.py")]]


def functions(source: str) -> Iterator[Function]:
    """All functions and methods, inner ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            yield node


def parameters(function: Function) -> int:
    """Parameters without self or cls; *args and **kwargs are one each."""
    a = function.args
    names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg)))]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def too_large(path: str, source: str) -> Iterator[str]:
    """A line for whatever in the file is above a limit."""
    if (lines := len(source.splitlines())) > LINES:
        yield f"{path} has {lines} lines, at most {LINES}"
    for function in functions(source):
        label, length = f"{path}:{function.name}", (function.end_lineno or 0) - function.lineno + 1
        if length > FUNCTION:
            yield f"{label} has {length} lines, at most {FUNCTION}"
        if parameters(function) > PARAMETERS and label not in FRONT_ENDS:
            yield f"{label} has {parameters(function)} parameters, at most {PARAMETERS}"


def crowded(files: Iterable[Path]) -> list[str]:
    """A line for every folder with too many of the files."""
    counts = Counter(file.parent.as_posix() for file in files)
    return [f"{folder} holds {count} files, at most {FILES}" for folder, count in counts.items() if count > FILES]


def test_every_file_function_and_signature_is_small_enough() -> None:
    files = modules()
    assert len(files) > 100, "where are the modules?"
    bad = [line for file in files for line in too_large(file.as_posix(), (ROOT / file).read_text("utf-8"))]
    assert not bad, "\n".join(bad)


def test_no_folder_is_crowded() -> None:
    assert crowded(modules()) == []


def test_exceptions_are_still_needed() -> None:
    for label in FRONT_ENDS:
        path, _, name = label.partition(":")
        counts = [parameters(f) for f in functions((ROOT / path).read_text("utf-8")) if f.name == name]
        assert max(counts, default=0) > PARAMETERS, f"{label} needs no exception"


@pytest.mark.parametrize(
    "source",
    [
        "\n" * 401,
        "def f():\n" + "    pass\n" * 60,
        "def outer():\n    async def f():\n" + "        pass\n" * 60,
        "def f(a, b, /, c, d, *e, f, g, h, **i): ...",
        "class C:\n    def f(self, a, b, c, d, e, f, g, h, i): ...",
    ],
)
def test_what_is_too_large_is_found(source: str) -> None:
    assert len(list(too_large("kernels/planted.py", source))) >= 1


@pytest.mark.parametrize(
    "source",
    ["\n" * 400, "def f():\n" + "    pass\n" * 59, "class C:\n    def f(self, a, b, c, d, e, f, g, h): ..."],
)
def test_what_is_just_small_enough_is_left_alone(source: str) -> None:
    assert list(too_large("kernels/planted.py", source)) == []


def test_a_crowded_folder_is_found() -> None:
    files = [Path(f"kernels/room/{number}.py") for number in range(16)]
    assert crowded(files) == ["kernels/room holds 16 files, at most 15"]
    assert crowded(files[:15]) == []
