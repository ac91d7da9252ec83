"""What a user installs: maxwell.py and the four packages with their data, and locks of all that they need."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
FACE = "maxwell.py"
PACKAGES = ("kernels", "ensemble", "workflows", "configs")
SHIPPED = {".py", ".gz", ".tsv", ".json", ".md", ".yaml"}
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-cluster.lock", "requirements-docs.lock")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel of this checkout, built in this process, opened."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(next(WheelBuilder(str(ROOT)).build(directory=str(folder)))) as archive:
        yield archive


def project() -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins(lock: str) -> set[str]:
    """The `name==version` pins of a lock file, markers dropped: {"jax==0.10.2", ...}."""
    return set(re.findall(r"^([a-z0-9.-]+==[^\s;]+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE))


def test_the_wheel_holds_every_module_and_data_file_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.suffix in SHIPPED)
    expected = {FACE, *(file.relative_to(ROOT).as_posix() for file in files)}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert expected - packed == set()
    assert {name.split("/")[0] for name in packed} == {FACE, *PACKAGES}


def test_the_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    entry_points = next(name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    assert "maxwell = workflows.cli.main:main" in wheel.read(entry_points).decode()


def test_the_wheel_is_imported_from_outside_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    code = "import maxwell; print(maxwell.__file__, maxwell.sample.__module__, 'airway' in maxwell.models())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path / 'site' / 'maxwell.py'} workflows.sampling.session True\n"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert re.search(r"--(index-url|extra-index-url|find-links)", text) is None


def test_the_locks_agree_and_cover_the_declared_dependencies() -> None:
    runtime, dev, cluster, docs = (pins(lock) for lock in LOCKS)
    assert runtime <= dev
    assert runtime <= cluster
    tables = project()
    needed, groups = tables["project"]["dependencies"], tables["dependency-groups"]
    for declared, locked in ((needed, runtime), (groups["dev"], dev), (groups["docs"], docs)):
        names = {re.split(r"[^A-Za-z0-9-]", requirement)[0].lower() for requirement in declared}
        assert names - {pin.split("==")[0] for pin in locked} == set()


def test_the_image_is_made_of_the_wheel_and_the_lock_and_does_not_run_as_root() -> None:
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    copied = {name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]}
    assert {FACE, *PACKAGES, "pyproject.toml", "requirements-cluster.lock"} <= copied
    assert {name for name in copied if not name.startswith("-")} - {"/wheels"} <= {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    }
    assert [line for line in lines if line.startswith("USER")] == ["USER 1000"]
    assert any("--require-hashes --requirement /tmp/requirements-cluster.lock" in line for line in lines)
