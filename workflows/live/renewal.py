"""What is made of a store anew after a commit, and at most once for each."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from ensemble.errors import MaxwellError
from ensemble.store import opening as stores

Made = TypeVar("Made")


class OncePerCommit(Generic[Made]):
    """Something made of a store while it is asked for, and kept until the next commit."""

    def __init__(self, store: Path, make: Callable[[Path], Made]) -> None:
        self._store, self._make = store, make
        self._lock = threading.Lock()
        self._kept: tuple[float, Made] | None = None

    def __call__(self) -> Made:
        """Of the store as it is now. Raises StoreError, and what `make` does."""
        with self._lock:
            committed = stores.committed_at(self._store)
            if self._kept is None or self._kept[0] != committed:
                self._kept = committed, self._make(self._store)
            return self._kept[1]


class Edition(NamedTuple):
    """The last report that was made.

    text: of the page; None while there is none.
    committed: when the commit was that it is of [seconds since 1970].
    is_renewed: whether a newer one is being made.
    problem: why the last one could not be made; None where it could.
    """

    text: str | None
    committed: float
    is_renewed: bool
    problem: str | None


def in_a_thread(work: Callable[[], None]) -> None:
    """Do some work beside everything else."""
    threading.Thread(target=work, daemon=True).start()


class Report:
    """The report of a store, made in the background where somebody asks and there was a commit since the last: what
    nobody reads costs the run nothing. What could not be made is tried again when it is asked for again."""

    def __init__(
        self,
        store: Path,
        render: Callable[[Path], str],
        background: Callable[[Callable[[], None]], None] = in_a_thread,
    ) -> None:
        self._store, self._render, self._background = store, render, background
        self._lock = threading.Lock()
        self._is_at_work = False
        self._last = Edition(None, 0.0, is_renewed=False, problem=None)

    def latest(self) -> Edition:
        """The last one at once, while a newer one is begun where there is need. Raises StoreError."""
        committed = stores.committed_at(self._store)
        with self._lock:
            begins = committed != self._last.committed and not self._is_at_work
            self._is_at_work |= begins
        if begins:
            self._background(lambda: self._make(committed))
        with self._lock:
            return self._last._replace(is_renewed=self._is_at_work)

    def _make(self, committed: float) -> None:
        """Make the report. committed: the last commit before; if there is another meanwhile, a newer one follows."""
        edition = self._last
        try:
            edition = Edition(self._render(self._store), committed, is_renewed=False, problem=None)
        except MaxwellError as error:
            edition = edition._replace(problem=str(error))
        finally:
            with self._lock:
                self._last, self._is_at_work = edition, False
