"""Where the draws of an array lie: in chunks of some draws, and several chunks in a file.

A chunk is what is encoded and digested at once, and never changes its size. A file (a shard in Zarr's words, for which
ours is a group of replicas) holds the chunks of many draws, and more of them as a run gets longer: `coarser`.
"""

from typing import Any, NamedTuple

from ensemble.errors import StoreVersion

GROWTH = 4
"""A coarser grid has files of so many times the draws."""
SHARDING = "sharding_indexed"
PREFIXES = {"default": "c.", "v2": ""}
"""Zarr's two namings of files, with dots. A coarser grid takes the other one: its files stand beside the old ones."""


class Place(NamedTuple):
    """A chunk's place among those of its file: counted along chains and along draws."""

    row: int
    chunk: int


class Grid(NamedTuple):
    """How an array [chains, draws, *shape] is cut.

    chunk, file: the shape of each.
    sharded: whether a file has an index of chunks; else it is one chunk, as in stores of formats before 4.
    prefix: what the names of files begin with.
    """

    chunk: tuple[int, ...]
    file: tuple[int, ...]
    sharded: bool
    prefix: str

    @property
    def rows(self) -> int:
        """Chunks along chains in a file."""
        return self.file[0] // self.chunk[0]

    @property
    def chunks(self) -> int:
        """Chunks along draws in a file."""
        return self.file[1] // self.chunk[1]

    def file_of(self, row: int, chunk: int) -> tuple[int, int]:
        """The file of an array's chunk, counted along chains and along draws."""
        return row // self.rows, chunk // self.chunks

    def place_of(self, row: int, chunk: int) -> Place:
        """The chunk's place in it."""
        return Place(row % self.rows, chunk % self.chunks)

    def files(self, chains: int, draws: int) -> list[tuple[int, int]]:
        """Those that hold so many draws of so many chains."""
        return [(row, file) for row in range(chains // self.file[0]) for file in range(-(-draws // self.file[1]))]

    def name(self, row: int, file: int) -> str:
        """The name of a file in the folder of its array; the dimensions of one draw are never split."""
        return self.prefix + ".".join([str(row), str(file), *("0" for _ in self.file[2:])])


def of_member(member: dict[str, Any]) -> Grid:
    """The grid that the Zarr metadata of an array tell."""
    file = tuple(member["chunk_grid"]["configuration"]["chunk_shape"])
    first = member["codecs"][0]
    sharded = first["name"] == SHARDING
    chunk = tuple(first["configuration"]["chunk_shape"]) if sharded else file
    return Grid(chunk, file, sharded, PREFIXES[member["chunk_key_encoding"]["name"]])


def chunk_codecs(member: dict[str, Any]) -> list[dict[str, Any]]:
    """How the chunks of an array are encoded. StoreVersion where a file's index is one that this program never made."""
    first, *others = member["codecs"]
    if first["name"] != SHARDING:
        return list(member["codecs"])
    told = first["configuration"]
    index = [codec["name"] for codec in told["index_codecs"]]
    if others or index != ["bytes", "crc32c"] or told.get("index_location") != "start":
        raise StoreVersion(
            f"the files of draws have an index of {index} at the {told.get('index_location')} and this version writes "
            "bytes and crc32c at the start: go on with the version that made the store."
        )
    return list(told["codecs"])


def coarser(member: dict[str, Any], times: int = 1) -> dict[str, Any]:
    """The metadata of the same array in files of GROWTH^times as many draws, with other names than before."""
    grid = of_member(member)
    name = "v2" if member["chunk_key_encoding"]["name"] == "default" else "default"
    told = _with_files(member, (grid.file[0], GROWTH**times * grid.file[1], *grid.file[2:]))
    return {**told, "chunk_key_encoding": _naming(name)}


def coarsened(member: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether `coarser`, once or several times, may have made the grid of `other` from that of `member`, whatever else
    they say. Raises KeyError, TypeError or ValueError where `other` tells of no grid."""
    grid, larger = of_member(member), of_member(other)
    times, rest = divmod(larger.file[1], grid.file[1])
    while times > 1 and times % GROWTH == 0:
        times //= GROWTH
    same = larger._replace(file=grid.file, prefix=grid.prefix) == grid
    return grid.sharded and same and rest == 0 and times == 1 and larger.file[1] > grid.file[1]


def by_chunk(member: dict[str, Any]) -> dict[str, Any]:
    """The metadata of the same array with each chunk in a file of its own, as readers are shown it."""
    grid = of_member(member)
    told = _with_files(member, grid.chunk)
    return {**told, "chunk_key_encoding": _naming("default"), "codecs": chunk_codecs(member)}


def with_grid(member: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The metadata with the grid of `other`, which are those of the same array."""
    return {**member, **{key: other[key] for key in ("chunk_grid", "chunk_key_encoding")}}


def _with_files(member: dict[str, Any], file: tuple[int, ...]) -> dict[str, Any]:
    return {**member, "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(file)}}}


def _naming(name: str) -> dict[str, Any]:
    return {"name": name, "configuration": {"separator": "."}}
