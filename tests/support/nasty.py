"""Values, texts and command lines as nobody should give them, drawn at random, and what becomes of them."""

import random
import signal
import string
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ensemble.errors import MaxwellError
from workflows.cli.main import main

SECONDS = 60
"""After so long without an answer something hangs."""
VALUES: tuple[Any, ...] = (
    *(
        0,
        -1,
        1,
        2,
        3,
        7,
        10**6,
        10**18,
        -(10**30),
        10**400,
        0.5,
        -0.0,
        1e-320,
        1e308,
        float("inf"),
        float("nan"),
        1e5,
        2.0,
    ),
    *(
        True,
        False,
        None,
        "",
        " ",
        "auto",
        "all",
        "none",
        "1",
        "1e3",
        "ja",
        "nan",
        "ß∂",
        "a" * 500,
        "\t",
        "0x10",
        "1_000",
        "\0",
    ),
    *(
        [],
        {},
        [1.0, 2.0],
        [1.0, 3.0, 2.0],
        [0.5],
        ["a"],
        [None],
        [[1]],
        {"a": 1},
        {"draws": 5},
        {1: 2},
        [1.0] * 200,
        "x\ny",
    ),
)
TEXTS = (
    *(
        "",
        "=",
        "a",
        "a=",
        "=1",
        ".",
        "..=1",
        "a..b=1",
        "a.b",
        "goals",
        "goals.ess",
        "goals.ess=",
        "goals.ess==3",
        "-",
        "--",
    ),
    *(
        "goals.ess=[",
        "goals.ess={a: }",
        "goals={ess: 3}",
        "goals=3",
        "model=genes",
        "seed=&a",
        "seed=*a",
        "seed=!!python/x 1",
    ),
    *(
        "seed=2001-01-01",
        "seed=0o17",
        "seed=1:30",
        "seed='",
        'seed="',
        "seed=%",
        "seed=@x",
        "seed=|",
        "seed=>",
        "seed=? a",
    ),
    *(
        "model.name=os:system",
        "model.name=nothing:here",
        "model.name=:",
        "model.name=a.b.c:d.e",
        "ensemble.replicas=1e400",
    ),
    *(
        "--out",
        "--out=",
        "--local",
        "--help-settings",
        "--json",
        "--repair",
        "--unpack",
        "--draws=0",
        "--draws=x",
        "--prior=-1",
    ),
    *("-h", "--version", "run", "resume", "inspect", "verify", "pack", "export", "report", "table", "check", "models"),
    *(
        "/",
        "/dev/null",
        "nowhere.zarr",
        "schools",
        "genes",
        "airway_small",
        "ä ö.yaml",
        "a" * 300,
        "\udcff",
        "x\udc80y",
        "\n",
    ),
)


class Accepted(BaseException):
    """A run would begin now."""


class Hangs(BaseException):
    """There was no answer."""


@contextmanager
def no_hanging() -> Iterator[None]:
    """Raises Hangs in the block after SECONDS."""

    def give_up(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What becomes of a command line: "accepted" or "refused", with status 2 and a message, or "done"; or what is not
    allowed."""

    def enter() -> str:
        # As Python itself has it, outside of tests.
        sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        try:
            status: Any = main(arguments)
        except SystemExit as stop:
            status = stop.code
        said = capsys.readouterr()
        if status == 2 and (said.err + said.out).strip() and "Traceback" not in said.err:
            return "refused"
        return "done" if status in (0, None) else f"status {status!r} and {said.err!r}, of {arguments!r}"

    try:
        return _outcome(enter, arguments)
    finally:
        capsys.readouterr()


def call(function: Callable[[], Any], given: Any) -> str:
    """The same of a call from Python."""

    def enter() -> str:
        function()
        return "accepted"

    return _outcome(enter, given)


def _outcome(enter: Callable[[], str], given: Any) -> str:
    try:
        with no_hanging():
            return enter()
    except Accepted:
        return "accepted"
    except MaxwellError as error:
        return "refused" if str(error).strip() else f"no message, of {given!r}"
    except Hangs:
        return f"hangs, of {given!r}"
    except Exception as error:  # noqa: BLE001 - what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {frame.filename}:{frame.lineno} ({error}), of {given!r}"


def text(rng: random.Random) -> str:
    """A short text of anything."""
    letters = string.printable + "äß→\u202e\x7f"
    return "".join(rng.choice(letters) for _ in range(rng.randrange(12)))


def value(rng: random.Random) -> Any:
    """A value of any kind."""
    return rng.choice([rng.choice(VALUES), rng.choice(VALUES), rng.uniform(-5, 50), rng.randrange(-3, 300), text(rng)])


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file with some bytes changed, lost, doubled or put elsewhere."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 40])):
        place, kind = rng.randrange(len(data) + 1), rng.randrange(5)
        piece = data[place : place + rng.randrange(30)]
        match kind:
            case 0:
                data[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[place : place + len(piece)]
            case 2:
                data[place:place] = piece
            case 3:
                data[place:place] = rng.choice(
                    [b":", b"\n", b"- ", b"{", b"\t", b"&a ", b"*a", b"'", b"\xff\xfe", b"!!", b"#"]
                )
            case 4:
                data[rng.randrange(len(data) + 1) :][:0] = piece
    return bytes(data)
