"""Who writes to a store, as others see it, and requests that it stop."""

import fcntl
import os
from pathlib import Path

import pytest

from ensemble.errors import StoreError, StoreLocked
from ensemble.store import opening as stores
from ensemble.store.contents import Layout, Variable
from ensemble.store.disk import lock

LAYOUT = Layout({"posterior": {"x": Variable("float64")}}, shard_chains=1, shards=1, chunk_draws=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that nobody writes to."""
    with stores.create(tmp_path / "run.zarr", LAYOUT, {"model": "none"}):
        pass
    return tmp_path / "run.zarr"


def test_a_writer_is_seen_while_it_writes(path: Path) -> None:
    assert stores.writer_of(path) is None
    with stores.reopen(path):
        assert f"process {os.getpid()} on host " in (stores.writer_of(path) or "")
    assert stores.writer_of(path) is None
    assert stores.writer_of(path.with_name("no.zarr")) is None


def test_a_look_at_the_lock_keeps_no_writer_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking = os.open(path / ".lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    with pytest.raises(StoreLocked):
        stores.reopen(path)
    monkeypatch.setattr(lock.time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
    with stores.reopen(path):
        pass
    os.close(looking)


def test_a_request_is_for_the_writer_of_its_time(path: Path) -> None:
    with stores.reopen(path) as first:
        assert first.stop_asked() is None
        stores.request_stop(path)
        assert "@" in (first.stop_asked() or "")
        assert stores.stop_asked(path) == first.stop_asked()
    with stores.reopen(path) as second:
        assert second.stop_asked() is None
        assert stores.stop_asked(path) is None
        # One that was made for the first writer and comes late.
        (path / ".stop").write_text('{"writer": "another", "by": "somebody@somewhere"}')
        assert second.stop_asked() is None


def test_a_request_changes_nothing_that_is_committed(path: Path) -> None:
    stores.request_stop(path)
    assert stores.verify(path).damaged == ()


def test_stores_are_found_by_name_and_not_within_each_other(path: Path) -> None:
    folder = path.parent
    for name in ("b/c.zarr", "a.zarr", ".hidden/no.zarr"):
        (folder / name).parent.mkdir(exist_ok=True)
        with stores.create(folder / name, LAYOUT, {"model": "none"}):
            pass
    (folder / "link.zarr").symlink_to(path)
    (folder / "zarr.json").write_text('{"attributes": {}}')
    assert stores.find(folder) == [folder / name for name in ("a.zarr", "b/c.zarr", "run.zarr")]
    assert stores.find(path) == [path]
    with pytest.raises(StoreError, match="there is no folder"):
        stores.find(folder / "no")


def test_the_last_commit_has_a_time(path: Path) -> None:
    os.utime(path / "zarr.json", (7, 1234.5))
    assert stores.committed_at(path) == 1234.5
    with pytest.raises(StoreError):
        stores.committed_at(path.with_name("no.zarr"))
