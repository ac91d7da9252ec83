"""The entry of a shipped model: where each of its parts is found. Nothing here loads JAX, nor do the entries."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class ShippedModel(NamedTuple):
    """What the `__init__.py` of a folder in workflows/models says of its model, as `MODEL`.

    Parts are named `module:function` and imported when they are used. The functions, in the order of the fields:
    `build(**settings) -> Model`, `lines(run: StoredRun) -> list[str]`, `frame(run: StoredRun) -> pandas.DataFrame`,
    `pictures(facts: Facts) -> list[Picture]` and `stock() -> Stock`.

    description: one line for `maxwell models`.
    build: makes the model from the keys of `model` in the settings.
    table: what the model says of its posterior at the end of a run and in the report; none where None.
    frame: that table in full, as a DataFrame, for `maxwell table --out`; none where None.
    pictures: those of its own that the report shows; none where None.
    stock: by the name of a configuration, or of a variant of one, its posterior written with stock distributions.
    reads_files: whether its settings may name files, which a worker need not have: workers get the target.
    """

    description: str
    build: str
    table: str | None = None
    frame: str | None = None
    pictures: str | None = None
    stock: Mapping[str, str] = MappingProxyType({})
    reads_files: bool = False
