"""`maxwell report STORE --serve`: what is refused before anything starts, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.runs import stopped_run
from workflows.cli.main import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped_run(tmp_path_factory.mktemp("begun"), sweeps=5)


@pytest.mark.parametrize("port", ["-1", "65536", "http", "8400.5", "٨", ""])
def test_what_is_no_port_is_refused(store: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", str(store), f"--serve={port}"])
    assert ended.value.code == 2
    assert f"PORT is a whole number from 0 to 65535, and was given as {port!r}" in capsys.readouterr().err


def test_a_store_after_the_option_is_told_where_it_belongs(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "--serve", str(store)])
    assert ended.value.code == 2
    assert "STORE stands before --serve" in capsys.readouterr().err


def test_a_file_and_a_page_are_not_asked_for_at_once(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", str(store), "--serve", "--out", "page.html"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["report", str(store), "--serve", str(port)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"maxwell: cannot serve on port {port}: it is taken. Name another")
    assert captured.out == ""


def test_without_a_store_nothing_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none.zarr"), "--serve", "0"]) == 2
    captured = capsys.readouterr()
    assert "there is no store at" in captured.err
    assert captured.out == ""


@contextmanager
def serving(store: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the address that it prints."""
    command = [sys.executable, "-m", "workflows.cli", "report", str(store), "--serve", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?key=[\w-]{32}", address)
            yield process, address
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.usefixtures("started_by_a_shell")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_as_other_commands_do_when_it_is_interrupted(store: Path, number: int) -> None:
    """All processes of the terminal get the signal, while a report is being made."""
    with serving(store) as (process, address):
        with urlopen(address, timeout=60) as answer:
            assert b"ESS of every coordinate" in answer.read()
        with urlopen(address.replace("/?", "/report?"), timeout=60) as answer:
            assert b"The report is being made" in answer.read()
        os.killpg(process.pid, number)
        # Returns when the last process that could write there is gone.
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "maxwell: interrupted\n"
