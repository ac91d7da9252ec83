"""An environment that asks JAX for devices that are not there is told by the name of its variable, in every process."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import config
from workflows.cli.main import main

ROOT = Path(__file__).resolve().parents[3]


def python(variables: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Python in an environment that says nothing of JAX but this."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX_PLATFORM")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=kept | variables, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"JAX_PLATFORMS": "cuda"}, "no such device, or the part of JAX for it is not installed"),
        ({"JAX_PLATFORMS": "abacus"}, "Backend 'abacus' is not in the list of known backends"),
        ({"JAX_PLATFORM_NAME": "cuda"}, "Unknown backend cuda"),
    ],
    ids=["a device that is not there", "no kind of device", "the older variable"],
)
def test_the_variable_is_named(variables: dict[str, str], why: str, tmp_path: Path) -> None:
    if "cuda" in variables.values() and Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU on this machine")
    store = tmp_path / "run.zarr"
    done = python(variables, "-m", "workflows.cli", "run", str(config(tmp_path)), "--local", "--out", str(store))
    assert done.returncode == 2, done.stderr
    asked = "=".join(next(iter(variables.items())))
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"maxwell: JAX cannot compute on what {asked} asks for, on machine {socket.gethostname()}: ")
    assert why in line
    assert "set JAX_PLATFORMS=cpu" in line
    assert "Traceback" not in done.stderr
    assert not store.exists()


def test_a_front_end_in_a_script_names_what_jax_was_told() -> None:
    code = (
        "import jax, maxwell\njax.config.update('jax_platforms', 'abacus')\n"
        "try: maxwell.function_model(lambda position, data: -position['x'] ** 2, {'x': ()})\n"
        "except maxwell.MaxwellError as error: print(error)"
    )
    done = python({}, "-c", code)
    assert done.stdout.startswith("JAX cannot compute on what jax_platforms=abacus (jax.config) asks for"), done.stderr


@pytest.mark.ray
@pytest.mark.usefixtures("connected_ray")
def test_a_worker_without_the_devices_of_its_driver_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """JAX of this process has its devices already: what the variable says now reaches the workers only."""
    import jax

    jax.devices()
    monkeypatch.setenv("JAX_PLATFORMS", "abacus")
    store = tmp_path / "run.zarr"
    assert main(["run", str(config(tmp_path)), "--out", str(store)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("maxwell: JAX cannot compute on what JAX_PLATFORMS=abacus asks for")
    assert not store.exists()
