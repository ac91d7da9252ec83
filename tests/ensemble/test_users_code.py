"""Whose line raised an exception, and what travels of it."""

import json
import pickle

import numpy as np
import pytest

from ensemble.errors import MaxwellError, ModelFailed
from ensemble.run.ledger import Ledger
from ensemble.users_code import own_lines, told_by_its_lines


def users(x: float) -> float:
    return float(np.linalg.cholesky(np.full((2, 2), x))[0, 0])


def fails(call: object) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any
        call()  # type: ignore[operator]
    return caught.value


def test_an_exception_of_a_library_is_of_the_line_that_called_it() -> None:
    lines = own_lines(fails(lambda: users(-1.0)))
    assert lines[-1].strip() == "return float(np.linalg.cholesky(np.full((2, 2), x))[0, 0])"
    assert "test_users_code.py, line " in lines[-2]
    assert not any("numpy/linalg" in line for line in lines)


def test_an_exception_of_this_program_is_no_users() -> None:
    """Raised in a room of the program, wherever it was called from."""
    error = fails(lambda: Ledger.from_json({}))  # type: ignore[arg-type]
    assert own_lines(error) == []
    with pytest.raises(type(error)), told_by_its_lines("mine:model"):
        Ledger.from_json({})


def test_a_library_alone_is_no_users() -> None:
    error = fails(lambda: json.loads("{"))
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert own_lines(error) == []


def test_the_error_is_chained_to_the_users_and_says_what_and_where() -> None:
    with (
        pytest.raises(ModelFailed, match=r"'mine': its code raised LinAlgError: Matrix is not") as caught,
        told_by_its_lines("mine"),
    ):
        users(-1.0)
    assert isinstance(caught.value.__cause__, np.linalg.LinAlgError)


def test_errors_meant_for_people_and_interrupts_pass() -> None:
    for kind in (MaxwellError, KeyboardInterrupt):
        with pytest.raises(kind), told_by_its_lines("mine"):
            raise kind


def test_the_cause_travels_where_it_can() -> None:
    class Local(Exception):
        """Nobody else can know it."""

    for cause, there in ((ValueError("no"), ValueError), (Local("no"), type(None))):
        copy = pickle.loads(pickle.dumps(ModelFailed.caused_by(cause, "said")))
        assert (str(copy), type(copy.__cause__)) == ("said", there)
