"""Around all calls of a user's model: 64-bit numbers, on which every density and every draw rests, may be turned off by
anybody's code in the process, and what that code raises is its user's."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jax import dtypes

from ensemble.errors import MaxwellError
from ensemble.shard.platform import require_platform
from ensemble.users_code import told_by_its_lines


class PrecisionError(MaxwellError):
    """JAX's 64-bit numbers are off: densities and draws would be wrong without a word."""


@contextmanager
def calling_model(model: str) -> Iterator[None]:
    """A block that runs code of a user's model. Raises PrecisionError, also in the place of what went wrong therefore,
    where 64-bit numbers are off when it begins or ends, PlatformError where JAX has no device, and ModelFailed for what
    the user's own lines raise. model: its name."""
    require_platform()
    _require(model)
    try:
        with told_by_its_lines(model):
            yield
    finally:
        _require(model)


def _require(model: str) -> None:
    if dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise PrecisionError(
            f"model {model!r}: JAX's 64-bit numbers are off, and a density in 32 bits gives a wrong posterior: take "
            "what turns them off out of the model's module and script (numpyro.enable_x64(False), or "
            'jax.config.update("jax_enable_x64", False)), and in a session turn them on again with True'
        )
