"""The errors meant for people: each message says what was given, what is allowed and what to do."""

import pickle
from typing import Any, Self


class MaxwellError(Exception):
    """The base of every user-facing error; the command line prints it without a traceback.

    began: whether it ended a run that had begun, of which all up to the last commit is kept.
    run: that run, where a session of Python has it in hand.
    """

    began: bool = False
    run: Any = None


class ModelFailed(MaxwellError):
    """Code of a user's model raised an exception, or ended the process: its cause, which it takes along to other
    processes where they can know it."""

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            pickle.loads(pickle.dumps(self.__cause__))
        except Exception:  # noqa: BLE001 - classes of anybody: the message has all that is needed
            return type(self), self.args
        return type(self).caused_by, (self.__cause__, *self.args)

    @classmethod
    def caused_by(cls, cause: BaseException | None, message: str) -> Self:
        """The error with its cause."""
        error = cls(message)
        error.__cause__ = cause
        return error


class WorkInterrupted(MaxwellError):
    """Code of a user's model raised KeyboardInterrupt in a worker: the run is interrupted."""


class StoreError(MaxwellError):
    """A store cannot be created, opened, read or written."""


class StoreLocked(StoreError):
    """Another process writes to the store, or has taken it over."""


class StoreDamaged(StoreError):
    """Files of the store are missing or changed."""


class StoreVersion(StoreError):
    """The store, or its checkpoint, was written by a version of the program that this one cannot go on from."""


class StoreMismatch(StoreError):
    """The store belongs to another model, other settings or another layout."""


class FleetError(MaxwellError):
    """The workers cannot be started, or a shard kills every worker it is given."""


class WorkersLost(FleetError):
    """Workers were lost after the run was asked to stop: none is replaced, and the rounds since the last commit with
    them."""
