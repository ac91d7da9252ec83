"""What every job begins with: go on with the run if its store is there, else begin it."""

import time
from pathlib import Path

from ensemble.protocol.progress import NullProgress, Progress
from ensemble.store import opening as stores
from workflows.results.run import Run
from workflows.sampling.problem import in_one_block
from workflows.sampling.resume import resume
from workflows.sampling.sample import sample
from workflows.sampling.signals import patience
from workflows.settings.loading import Settings, require_same

PATIENCE = 120.0
"""Seconds to wait for another writer: that of a job that was just ended may still be on its way out."""
GLANCE = 1.0


def go_on_or_begin(
    settings: Settings, path: Path, *, local: bool | None = None, progress: Progress | None = None
) -> Run:
    """Go on with the run at `path` with these settings, or begin it where there is none: whatever ended it before, the
    draws are those of one uninterrupted run.

    Signals ask it to stop once, and no second one ends it at once. Raises MaxwellError for bad input, settings that
    are not those of the run included, and Interrupted where it was asked to stop.
    """
    shown = progress or NullProgress()
    with patience():
        if not stores.is_store(path):
            return sample(settings, path, local=local, progress=shown)
        wanted = require_to_be_gone_on(path, settings)
        _await_writer(path, shown)
        return resume(path, [wanted.model_dump(mode="json")], local=local, progress=shown)


def require_to_be_gone_on(path: Path, settings: Settings) -> Settings:
    """The settings with which the run at `path` goes on as `settings` say. Raises SettingsError unless it can."""
    stored = stores.reader(path).attributes["settings"]
    wanted = _as_begun(settings, stored)
    require_same(stored, wanted)
    return wanted


def _as_begun(settings: Settings, stored: dict[str, dict[str, object]]) -> Settings:
    """The settings with all in one block, where the run found that the structure does not hold."""
    plainer = in_one_block(settings)
    moved = plainer.kernels.model_dump(mode="json")["levels"]
    return plainer if not settings.kernels.levels and stored["kernels"]["levels"] == moved else settings


def _await_writer(path: Path, shown: Progress) -> None:
    """Wait for whoever still writes to the store; one that goes on for long is met by resume's own error."""
    writer, until = stores.writer_of(path), time.monotonic() + PATIENCE
    if writer is None:
        return
    shown.message(f"{path} is still being written by {writer}: waiting up to {PATIENCE:.0f} seconds for it to end")
    while stores.writer_of(path) is not None and time.monotonic() < until:
        time.sleep(GLANCE)
