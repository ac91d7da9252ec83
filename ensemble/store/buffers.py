"""Draws on their way into chunks: looked at as a whole when they come, kept until their chunk is full."""

from collections.abc import Iterator, Mapping

import numpy as np

from ensemble.errors import StoreError
from ensemble.store.chunking.codec import Blocks, Codec
from ensemble.store.contents import Variable
from ensemble.store.root import Record

Chunks = list[tuple[int, Blocks]]
"""Chunks of one shard in one group, with their numbers."""


class DrawBuffers:
    """The draws of all groups and shards since their last finished chunks."""

    def __init__(
        self,
        variables: dict[str, dict[str, Variable]],
        codecs: dict[str, dict[str, Codec]],
        record: Record,
        unfinished: Mapping[tuple[str, int], Blocks],
    ) -> None:
        """Stand at the committed draws of `record`; `unfinished`: chunks that are not full, by group and shard."""
        self._variables, self._codecs, self._shard_chains = variables, codecs, record.shard_chains
        self._shards = range(record.shards)
        self._buffers = {
            (group, shard): ShardBuffer(codecs[group], record, record.draws[group], unfinished.get((group, shard)))
            for group in variables
            for shard in self._shards
        }

    def add(self, shard: int, group: str, draws: Mapping[str, np.ndarray]) -> Chunks:
        """Take draws {variable: [n, shard_chains, *shape]} and hand back the chunks they finish.

        Raises StoreError, nothing taken, where they do not fit.
        """
        blocks = self._admitted(shard, group, draws)
        return self._buffers[group, shard].add(blocks)

    def take_unfinished(self) -> Iterator[tuple[str, int, Chunks]]:
        """The chunks that are not full, where they changed since they were last taken, by group and shard."""
        for (group, shard), buffer in self._buffers.items():
            yield group, shard, buffer.take_unfinished()

    def even_draws(self) -> dict[str, int]:
        """The draws of every group, which all shards must have alike. Raises StoreError where they have not."""
        draws = {}
        for group in self._variables:
            lengths = [self._buffers[group, shard].draws for shard in self._shards]
            if len(set(lengths)) > 1:
                raise StoreError(
                    f"the shards of group {group!r} have {lengths} draws: append as many for every shard, then commit."
                )
            draws[group] = lengths[0]
        return draws

    def _admitted(self, shard: int, group: str, draws: Mapping[str, np.ndarray]) -> Blocks:
        """The given draws as [shard_chains, n, *shape] in the stored dtypes, all checked before any is taken."""
        if (group, shard) not in self._buffers:
            raise StoreError(
                f"the store has no shard {shard!r} in group {group!r}: shards are 0 to {len(self._shards) - 1}, "
                f"groups {sorted(self._variables)}."
            )
        if set(draws) != set(self._variables[group]):
            raise StoreError(
                f"group {group!r} was given {sorted(draws)}, but has {sorted(self._variables[group])}: "
                "append all its variables at once, and no others."
            )
        blocks = {name: self._converted(group, name, np.asarray(values)) for name, values in draws.items()}
        lengths = {name: block.shape[1] for name, block in blocks.items()}
        if len(set(lengths.values())) > 1:
            raise StoreError(f"group {group!r} was given different numbers of draws, {lengths}: they must agree.")
        return blocks

    def _converted(self, group: str, name: str, values: np.ndarray) -> np.ndarray:
        """[n, shard_chains, *shape] as [shard_chains, n, *shape] in the stored dtype; floats may be narrowed."""
        expected, dtype = (self._shard_chains, *self._variables[group][name].shape), self._codecs[group][name].dtype
        fits = np.can_cast(values.dtype, dtype) or values.dtype.kind == dtype.kind == "f"
        if values.shape[1:] != expected or not fits:
            raise StoreError(
                f"{group}/{name} was given {values.dtype} of shape {values.shape}: "
                f"it takes {dtype} of shape (draws, {', '.join(map(str, expected))})."
            )
        return values.astype(dtype, copy=False).swapaxes(0, 1)


class ShardBuffer:
    """The draws of one shard in one group since the last finished chunk."""

    def __init__(self, codecs: dict[str, Codec], record: Record, draws: int = 0, blocks: Blocks | None = None) -> None:
        """Stand after `draws` draws; `blocks` holds those of the unfinished chunk, if there is one."""
        self._codecs = codecs
        self._size, self._chains = record.chunk_draws, record.shard_chains
        self.draws = draws
        self._blocks = blocks or {}
        self._changed = False

    def add(self, draws: Blocks) -> Chunks:
        """Take draws [shard_chains, n, *shape] of every variable; hands back the chunks they finish, with numbers."""
        finished: Chunks = []
        taken, given = 0, next(iter(draws.values())).shape[1]
        while taken < given:
            offset = self.draws % self._size
            count = min(self._size - offset, given - taken)
            for name, values in draws.items():
                self._block(name)[:, offset : offset + count] = values[:, taken : taken + count]
            taken += count
            self.draws += count
            self._changed = True
            if self.draws % self._size == 0:
                finished.append((self.draws // self._size - 1, self._blocks))
                self._blocks, self._changed = {}, False
        return finished

    def take_unfinished(self) -> Chunks:
        """The chunk that is not full, where it changed since it was last taken."""
        if not self._changed:
            return []
        self._changed = False
        return [(self.draws // self._size, self._blocks)]

    def _block(self, name: str) -> np.ndarray:
        if name not in self._blocks:
            self._blocks[name] = self._codecs[name].blank(self._chains)
        return self._blocks[name]
