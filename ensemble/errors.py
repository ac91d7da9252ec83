"""The errors meant for people: each message says what was given, what is allowed and what to do."""


class MaxwellError(Exception):
    """The base of every user-facing error; the command line prints it without a traceback."""


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
