"""The root metadata of a store: one JSON file whose replacement is the commit.

It holds Zarr's consolidated metadata, hence the length of every array, together with the attributes of the run, the
record of the writer and its checkpoints, and the digests of all that is committed, itself included. Readers look at
nothing else to learn what is committed.
"""

import json
import os
import secrets
import shlex
import socket
from pathlib import Path
from typing import Any, NamedTuple

from ensemble.errors import StoreDamaged, StoreError, StoreVersion
from ensemble.store.arviz_schema import NAMES, sampling_time
from ensemble.store.checkpoint import FOLDER, Reference
from ensemble.store.contents import Layout, Variable
from ensemble.store.disk.digests import WIDTH, Digests, of_bytes
from ensemble.store.disk.packed import FROM_A_COPY, Packed, Place, is_packed, place_of
from ensemble.store.disk.place import require_path
from ensemble.store.layout import CHAIN, DRAW, ROOT

FORMAT_VERSION = 4
"""1 had a file for each shard's chunk of every variable; each array tells how its own are. 2 had no digests. 3 had a
file for every chunk."""
SEALED = 3
"""From this format on the root has a digest of itself."""
RECORD = "maxwell"
SEAL, UNSEALED = b'"digest": "', "0" * WIDTH
"""What stands before the root's digest of itself, the last such place of the file, and there while it is made."""
LOCK = ".lock"


class Writer(NamedTuple):
    """Who writes, and whom to blame.

    token: drawn anew by every writer.
    process: its number.
    host: where it runs.
    """

    token: str
    process: int
    host: str


class Record(NamedTuple):
    """The store's own entry in the root attributes.

    writer: the last one to come.
    shards, shard_chains, chunk_draws: those of the layout.
    draws: the committed number of each group.
    checkpoints: oldest first, at most two.
    digests: of all files of draws and coordinates; None in a store that began without.
    """

    writer: Writer
    shards: int
    shard_chains: int
    chunk_draws: int
    draws: dict[str, int]
    checkpoints: tuple[Reference, ...]
    digests: Digests | None = None

    def back_at(self, reference: Reference) -> "Record":
        """The record with the draws that were committed along with a checkpoint, which becomes the last."""
        kept = self.checkpoints[: self.checkpoints.index(reference) + 1]
        return self.cut(reference.draws, reference.tails)._replace(checkpoints=kept)

    def cut(self, draws: dict[str, int], tails: dict[str, str]) -> "Record":
        """The record with fewer draws, whose chunks that are not full have the digests `tails`."""
        digests = self.digests and self.digests.cut(draws, self.chunk_draws, tails)
        return self._replace(draws=draws, digests=digests)


class Root(NamedTuple):
    """The root metadata.

    attributes: the run's.
    schema: those that ArviZ's schema asks for.
    record: the store's own.
    members: every array's and group's Zarr metadata, by path.
    """

    attributes: dict[str, Any]
    schema: dict[str, Any]
    record: Record
    members: dict[str, dict[str, Any]]

    def variables(self) -> dict[str, dict[str, Variable]]:
        """The recorded variables by group: those that grow along draw."""
        found: dict[str, dict[str, Variable]] = {group: {} for group in self.record.draws}
        for path, member in self.members.items():
            group, _, name = path.partition("/")
            if group in found and name and member["dimension_names"][:2] == [CHAIN, DRAW]:
                dims, shape = member["dimension_names"][2:], member["shape"][2:]
                found[group][name] = Variable(member["data_type"], tuple(dims), tuple(shape))
        return found

    def at(self, attributes: dict[str, Any], record: Record) -> "Root":
        """The root with other attributes and another record, every array's length as that record says."""
        members = dict(self.members)
        for group, variables in self.variables().items():
            for name, variable in variables.items():
                shape = [record.shards * record.shard_chains, record.draws[group], *variable.shape]
                members[f"{group}/{name}"] = {**members[f"{group}/{name}"], "shape": shape}
        return Root(attributes, self.schema | sampling_time(attributes), record, members)


def new_writer() -> Writer:
    """This process, with a fresh token."""
    return Writer(secrets.token_hex(16), os.getpid(), socket.gethostname())


def by_nobody(root: Root) -> Root:
    """The root without its writer: the same state is the same bytes, whoever writes it."""
    return root._replace(record=root.record._replace(writer=Writer("", 0, "")))


def first_root(layout: Layout, keys: dict[str, bytes], attributes: dict[str, Any], schema: dict[str, Any]) -> Root:
    """The root of an empty store whose other keys are `keys`."""
    suffix = f"/{ROOT}"
    members = {key.removesuffix(suffix): json.loads(data) for key, data in keys.items() if key.endswith(suffix)}
    draws = dict.fromkeys(layout.groups, 0)
    fixed = {key: of_bytes(data) for key, data in keys.items() if not key.endswith(suffix)}
    chains = layout.shards * layout.shard_chains
    arrays = [f"{group}/{name}" for group, variables in layout.groups.items() for name in variables]
    # Of the sharding codec, which all arrays of draws begin with.
    chunks = {array: members[array]["codecs"][0]["configuration"]["chunk_shape"] for array in arrays}
    rows = {array: [""] * (chains // shape[0]) for array, shape in chunks.items()}
    digests = Digests(fixed, rows)
    record = Record(new_writer(), layout.shards, layout.shard_chains, layout.chunk_draws, draws, (), digests)
    return Root(attributes, schema | sampling_time(attributes), record, members)


def encode_member(member: dict[str, Any]) -> bytes:
    """The metadata file of one array or group."""
    return json.dumps(member, indent=2).encode()


def encode_root(root: Root, indent: int | None = 2) -> bytes:
    """The root metadata file, as zarr.consolidate_metadata would write it (held by a test); in one line, which takes a
    tenth of the time, with indent None."""
    consolidated = {path: _consolidated(root.members[path]) for path in sorted(root.members)}
    document = {
        "attributes": all_attributes(root),
        "zarr_format": 3,
        "consolidated_metadata": _inline(consolidated),
        "node_type": "group",
    }
    data = bytearray(json.dumps(document, indent=indent).encode())
    data[_seal(data)] = of_bytes(data).encode()
    return bytes(data)


def all_attributes(root: Root) -> dict[str, Any]:
    """The run's attributes, ArviZ's, and the record."""
    return {**root.attributes, **root.schema, RECORD: record_as_json(root.record)}


def told_attributes(root: Root) -> dict[str, Any]:
    """The same for people, who need no digests."""
    found = all_attributes(root)
    del found[RECORD]["digest"], found[RECORD]["digests"]
    return found


def record_as_json(record: Record) -> dict[str, Any]:
    """The record as dictionaries and lists, its format version first, and then the place of the root's digest."""
    nested = {
        "writer": record.writer._asdict(),
        "checkpoints": [named._asdict() for named in record.checkpoints],
        "digests": record.digests and record.digests._asdict(),
    }
    return {"format_version": FORMAT_VERSION, "digest": UNSEALED, **record._asdict(), **nested}


def read_root(path: Place) -> Root:
    """Read and check the root metadata of the store at `path`; needs no lock.

    Raises StoreError where there is no store, StoreVersion where it is newer than this program, StoreDamaged.
    """
    try:
        data = (path / ROOT).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    return parse_root(path, data)


def parse_root(path: Place, data: bytes) -> Root:
    """The root whose file has these bytes; `path` is that of the store, for messages. Raises as `read_root`."""
    document = _parse(path, data)
    attributes = dict(document["attributes"])
    record = attributes.pop(RECORD, None)
    if record is None:
        raise StoreError(
            f"{path} is a Zarr hierarchy, but not a maxwell store: its {ROOT} has no record of one. Give the path of a "
            "run."
        )
    _check_seal(path, record, data)
    _check_version(path, record)
    # In the order of the document: the same state is the same bytes, whoever writes it.
    schema = {name: attributes.pop(name) for name in tuple(attributes) if name in NAMES}
    try:
        root = Root(attributes, schema, _record(record), _members(document))
        consistent = root.at(attributes, root.record).members == root.members
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"its contents are not as written ({error!r})") from error
    if not consistent:
        raise _damaged(path, "the lengths of its arrays are not those recorded")
    return root


def repair_command(path: Place) -> str:
    """The command that goes back to the last sound commit of the store at `path`."""
    return shlex.join(["maxwell", "verify", str(path), "--repair"])


def readable(path: str | Path) -> Place:
    """Where the files of a store are that is read: its folder, or the archive that it was packed into."""
    require_path(Path(path))
    try:
        return place_of(path)
    except OSError as error:
        raise StoreDamaged(f"the archive {path} is damaged: {error.strerror}. {FROM_A_COPY}") from error


def unpack_command(path: Path) -> str:
    """The command that makes a folder of a packed store."""
    return shlex.join(["maxwell", "pack", str(path), "--unpack"])


def _consolidated(member: dict[str, Any]) -> dict[str, Any]:
    if member["node_type"] == "array":
        return member
    return {**member, "consolidated_metadata": _inline({})}


def _inline(metadata: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "inline", "must_understand": False, "metadata": metadata}


def _parse(path: Place, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise _damaged(path, f"it is no JSON ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise _damaged(path, "it has no attributes")
    return document


def _members(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The metadata of arrays and groups; a group's own (empty) consolidated metadata are dropped again."""
    members = document["consolidated_metadata"]["metadata"].items()
    return {path: {key: v for key, v in member.items() if key != "consolidated_metadata"} for path, member in members}


def _record(record: dict[str, Any]) -> Record:
    fields = {name: record[name] for name in Record._fields if name != "digests"}
    digests = record.get("digests")
    fields["digests"] = digests and Digests(**digests)
    fields["writer"] = Writer(**record["writer"])
    fields["checkpoints"] = tuple(Reference(**checkpoint) for checkpoint in record["checkpoints"])
    return Record(**fields)


def _seal(data: bytes | bytearray) -> slice:
    """Where the root's digest of itself stands."""
    start = data.rfind(SEAL) + len(SEAL)
    return slice(start, start + WIDTH)


def _check_seal(path: Place, record: Any, data: bytes) -> None:
    """StoreDamaged where the root is not as written; those of old formats cannot tell."""
    version, found = (record.get("format_version"), record.get("digest")) if isinstance(record, dict) else (None, None)
    if found is None and isinstance(version, int) and version < SEALED:
        return
    blank = bytearray(data)
    blank[_seal(blank)] = UNSEALED.encode()
    if found != of_bytes(blank):
        raise _damaged(path, "its digest is not the one recorded")


def _check_version(path: Place, record: Any) -> None:
    version = record.get("format_version") if isinstance(record, dict) else None
    if not isinstance(version, int):
        raise _damaged(path, "it has no format version")
    if version > FORMAT_VERSION:
        raise StoreVersion(
            f"{path} has store format {version}; this program reads formats up to {FORMAT_VERSION}: update maxwell."
        )


def _damaged(path: Place, why: str) -> StoreDamaged:
    if isinstance(path, Packed):
        return StoreDamaged(f"the root metadata {path / ROOT} are damaged: {why}. {FROM_A_COPY}")
    return StoreDamaged(
        f"the root metadata {path / ROOT} are damaged: {why}. "
        "Restore that one file from a copy of the store, or go back to the commit before: "
        f"`{repair_command(path)}`. The draws and checkpoints beside it were not touched."
    )


def _unreadable(path: Place, error: OSError) -> StoreError:
    if not path.exists():
        return StoreError(f"there is no store at {path}: check the path; a new run makes a store.")
    if isinstance(path, Path) and is_packed(path):
        return StoreError(
            f"{path} is a packed store, which is read and not written: `{unpack_command(path)}` makes a folder of it."
        )
    if isinstance(path, Packed):
        return StoreError(f"{path} is an archive, but not a maxwell store: it has no {ROOT}. Give the path of a run.")
    if not path.is_dir():
        return StoreError(f"{path} is a file, not a maxwell store: a store is a folder. Give the path of a run.")
    if (path / ROOT).exists():
        return StoreError(f"cannot read {path / ROOT}: {error.strerror}. Reading needs read access to the store.")
    if (path / LOCK).exists() or (path / FOLDER).exists():
        return _damaged(path, "the file is missing")
    return StoreError(f"{path} is a folder, but not a maxwell store: it has no {ROOT}. Give the path of a run.")
