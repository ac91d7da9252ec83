"""Whether a Ray listens at an address is found out in seconds, before a model is built, and told with the address."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ensemble.fleet.cluster_address import why_no_ray
from maxwell import open_run
from tests.support.runs import config
from workflows.cli.main import main
from workflows.modelling import registry
from workflows.sampling import resume, sample


@pytest.fixture
def closed() -> Iterator[str]:
    """An address where nothing listens: its port is taken, so that nobody else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def web_server() -> Iterator[str]:
    """An address where something listens that is no Ray."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.recv(1024)
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_nothing_listens(closed: str) -> None:
    assert why_no_ray(closed) == "nothing listens there (Connection refused)"


def test_something_else_listens(web_server: str) -> None:
    assert "what listens there is no Ray" in str(why_no_ray(web_server))


def test_nothing_is_said(silent: str) -> None:
    assert why_no_ray(silent, 0.1) == "nothing answers within 0 seconds"


def test_an_unknown_host() -> None:
    assert "the host no-such-host.invalid is not known" in str(why_no_ray("no-such-host.invalid:6379"))


@pytest.mark.ray
def test_a_ray_answers(private_ray: str) -> None:
    assert why_no_ray(private_ray) is None


@pytest.mark.parametrize("command", ["run", "resume"])
@pytest.mark.parametrize("given", ["address", "auto"])
def test_a_run_without_its_cluster_ends_before_the_model_is_built(
    command: str,
    given: str,
    closed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "run.zarr"
    if command == "resume":
        assert main(["run", str(config(tmp_path)), "--local", "--out", str(store), "limits.sweeps=5"]) == 0
        arguments = ["resume", str(store)]
    else:
        arguments = ["run", str(config(tmp_path)), "--out", str(store)]
    capsys.readouterr()

    def unreached(*_: object) -> None:
        raise AssertionError("the model is built")

    for module in (registry, sample):
        monkeypatch.setattr(module, "build", unreached)
    monkeypatch.setattr(resume, "recorded_model", unreached)
    monkeypatch.setenv("RAY_ADDRESS", closed)
    address = closed if given == "address" else "auto"
    assert main([*arguments, f"ensemble.address={address}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    meant = closed if given == "address" else f"auto, which is {closed} here"
    assert line.startswith(f"maxwell: ensemble.address: there is no Ray cluster at {meant}: nothing listens there")
    assert "Start one (ray start --head)" in line
    assert store.exists() == (command == "resume")
    if store.exists():
        assert open_run(store).summary()["sweeps"] == 5
