"""Every file of a store looked at, and what is damaged."""

from collections.abc import Callable, Iterator

from ensemble.errors import StoreDamaged
from ensemble.store import checkpoint as checkpoints
from ensemble.store.contents import Damage, Verification
from ensemble.store.disk.packed import Place
from ensemble.store.integrity.checks import Checks, is_foreign, remedy
from ensemble.store.layout import ROOT
from ensemble.store.root import Root, read_root

FOREIGN = "it is that of another store, for no group was made when it says"

STATES = 5
"""At so many committed states a file of a live store must be amiss to count as damaged."""


Looked = tuple[str, int, str]
"""A file's path in the store, its size, and what is wrong with it."""


def verify(path: Place) -> Verification:
    """Look at every committed file of a store, also while it is being written: then at one committed state.

    Raises StoreError where there is no store, StoreVersion where it is newer than this program.
    """
    seen: list[set[str]] = []
    while True:
        try:
            root = read_root(path)
        except StoreDamaged as error:
            return Verification(1, _root_size(path), (Damage(ROOT, str(error)),), digests=True)
        if is_foreign(path, root):
            return Verification(1, _root_size(path), (Damage(ROOT, FOREIGN),), digests=True)
        found = verify_at(path, root)
        # A writer prunes checkpoints and gives up draws: what is amiss must be so at the state that is committed, or,
        # where commits come faster than files can be looked at, at several states.
        seen.append({damage.file for damage in found.damaged})
        lasting = set.intersection(*seen)
        if not lasting or _same(path, root) or len(seen) == STATES:
            return found._replace(damaged=tuple(damage for damage in found.damaged if damage.file in lasting))


def read_verified_root(path: Place) -> Root:
    """The root, and all metadata below it as it says. Raises as `read_root`."""
    for state in range(STATES):
        root = read_root(path)
        checks = Checks(root)
        looked = (_look(path, f"{member}/{ROOT}", checks.member) for member in root.members)
        wrong = next(((file, why) for file, _, why in looked if why), None)
        if wrong is None:
            break
        # A writer that goes back to a checkpoint makes arrays shorter.
        if state == STATES - 1 or _same(path, root):
            file, why = (ROOT, FOREIGN) if is_foreign(path, root) else wrong
            raise StoreDamaged(f"the file {path / file} is damaged: {why}. {remedy(path)}")
    return root


def verify_at(path: Place, root: Root) -> Verification:
    """Look at every file of one committed state, the root's own aside."""
    looked = [*files_of(path, root), *checkpoint_files(path, root)]
    size = _root_size(path)
    damaged = tuple(Damage(file, why) for file, _, why in looked if why)
    return Verification(1 + len(looked), size + sum(n for _, n, _ in looked), damaged, root.record.digests is not None)


def files_of(path: Place, root: Root) -> Iterator[Looked]:
    """Metadata, coordinates, static arrays and chunks."""
    checks = Checks(root)
    for member in root.members:
        yield _look(path, f"{member}/{ROOT}", checks.member)
    for file in checks.fixed:
        yield _look(path, file, checks.fixed_file)
    for file in checks.files:
        yield _look(path, file, checks.draws_file)


def checkpoint_files(path: Place, root: Root) -> Iterator[Looked]:
    """Those of all checkpoints that the root names."""
    for reference in root.record.checkpoints:
        for file, data, why in checkpoints.files_of(path, reference):
            yield f"{checkpoints.FOLDER}/{reference.epoch}/{file.name}", len(data or b""), why


def _look(path: Place, file: str, check: Callable[[str, bytes], str]) -> Looked:
    try:
        data = (path / file).read_bytes()
    except FileNotFoundError:
        return file, 0, "it is missing"
    except OSError as error:
        return file, 0, f"it cannot be read ({error.strerror})"
    return file, len(data), check(file, data)


def _same(path: Place, root: Root) -> bool:
    try:
        return read_root(path) == root
    except StoreDamaged:
        return False


def _root_size(path: Place) -> int:
    try:
        return len((path / ROOT).read_bytes())
    except OSError:
        return 0
