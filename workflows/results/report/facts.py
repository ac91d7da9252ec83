"""All that a report rests on, read from a store: summary, books, diagnostics of every coordinate, draws as needed."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from ensemble.errors import StoreDamaged
from ensemble.store.contents import CoordinatorState
from ensemble.store.protocol import RunReader
from workflows.results.diagnostics import labelled
from workflows.results.inspect import summary_of
from workflows.results.report.coordinates import sites_of
from workflows.results.run import Run

ATTEMPTS = 3
"""A run that still goes prunes old checkpoints: one that vanishes between two reads is looked for anew."""

Index = tuple[int, ...]


class Facts:
    """A stored run as the report sees it; checked: whether the goals have been looked at, and diagnostics are known.

    Raises StoreError where there is no store, StoreDamaged for a broken one.
    """

    def __init__(self, path: str | Path) -> None:
        self.run = Run(path)
        self.reader, state = self._state()
        self.attributes = self.reader.attributes
        self.summary = summary_of(self.reader)
        self.settings: dict[str, Any] = self.summary["settings"] or {}
        self.books: dict[str, Any] = {} if state is None else state.info
        found = xarray.Dataset() if state is None else labelled(state.arrays, self.reader.groups()["posterior"])
        self.checked = bool(found.data_vars)
        self.sites = sites_of(self.attributes["fingerprint"]["sites"], found)

    @cached_property
    def data(self) -> Any:
        """The groups of the store as the installed ArviZ has them; draws are read when used."""
        return self.reader.arviz()

    @property
    def draws(self) -> int:
        """Committed draws of each stored chain."""
        return self.rounds("posterior")

    @property
    def superchains(self) -> int:
        """Groups of stored chains with a start of their own."""
        return int(self.attributes["maxwell"]["shards"])

    @property
    def chains(self) -> int:
        """Stored chains."""
        return self.superchains * int(self.attributes["maxwell"]["shard_chains"])

    def rounds(self, group: str) -> int:
        """Committed entries of a recorded group; 0 for one that the run does not record."""
        return int(self.attributes["maxwell"]["draws"].get(group, 0))

    def values(self, name: str, index: Index = ()) -> np.ndarray:
        """Draws of one scalar of a posterior variable: [chain, draw]; those that a run has added since are left out."""
        return np.asarray(self.data["posterior"][name][(slice(None), slice(self.draws), *index)].values, float)

    def has(self, site: str) -> bool:
        """Whether the posterior variable of a site's name has the site's own coordinates."""
        posterior = self.data["posterior"]
        return site in posterior and posterior[site].shape[2:] == self._shapes[site]

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {site.name: site.ess.shape for site in self.sites}

    def _state(self) -> tuple[RunReader, CoordinatorState | None]:
        """A committed state, and the coordinator's part of its checkpoint: none before the first checkpoint."""
        for _ in range(ATTEMPTS):
            reader = self.run.reader()
            try:
                return reader, reader.coordinator_state()
            except StoreDamaged as error:
                fault = error
        raise StoreDamaged(f"The ledger of the run lies in its last checkpoint, and {fault}") from fault
