"""A folder for the store of a run that was given no place of its own."""

import shutil
import tempfile
import weakref
from pathlib import Path


class TemporaryFolder:
    """A new folder, removed with all that is in it when nothing refers to this object any more, or at exit."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="maxwell-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
