"""What is shipped to the machines of a cluster."""

from pathlib import Path

import pytest

from ensemble.fleet.ray_environment import shipped_code

ROOT = Path(__file__).resolve().parents[3]


def test_the_packages_and_the_face_are_shipped_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    monkeypatch.chdir(tmp_path)
    shipped = shipped_code()
    expected = ("kernels", "ensemble", "workflows", "configs", "maxwell.py")
    assert sorted(shipped["py_modules"]) == sorted(str(ROOT / name) for name in expected)
    assert shipped["working_dir"] == str(tmp_path)


def test_a_checkout_ships_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    monkeypatch.chdir(ROOT)
    shipped = shipped_code()
    assert shipped["working_dir"] == str(ROOT)
    assert "py_modules" not in shipped  # Ray fails on an empty list
