"""The few types that every kernel shares."""

from collections.abc import Callable
from typing import Any

import jax

Array = jax.Array
Position = dict[str, jax.Array]
"""Unconstrained sites by name, float64, each of its site's shape."""

Terms = dict[str, jax.Array]
"""Unsummed contributions to the log density by term name."""

Cells = dict[str, jax.Array]
"""Terms summed over the elements that no move can tell apart (see structure): one vector a term, float64."""

Data = Any
"""Any pytree of arrays: always a traced argument, never closed over."""

Start = Callable[[jax.Array, Data], Position]
"""One start, unconstrained and float64, of a key and the data; pure and traceable."""
