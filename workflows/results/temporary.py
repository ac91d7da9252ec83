"""A folder for the store of a run that was given no place of its own."""

import shutil
import weakref

from ensemble.surroundings import temporary_folder


class TemporaryFolder:
    """A new folder, removed with all that is in it when nothing refers to this object any more, or at exit."""

    def __init__(self) -> None:
        self.path = temporary_folder(instead=", or name a place for the run by out=...")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
