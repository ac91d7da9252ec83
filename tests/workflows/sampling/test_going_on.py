"""What a resumed run finds changed: a last checkpoint that is damaged, packages of other versions."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maxwell
from ensemble.protocol.progress import NullProgress
from ensemble.store import opening as stores
from maxwell import open_run
from tests.support.runs import Messages, command, contents, draws, same, stopped_run
from workflows.cli.main import main
from workflows.sampling import resume, versions
from workflows.sampling.versions import changed_versions


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was stopped in `sample`, with draws since its last checkpoint but one."""
    return stopped_run(tmp_path_factory.mktemp("begun"), sweeps=31)


@pytest.fixture
def store(begun: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(begun, tmp_path / "a run.zarr"))


def damage(store: Path) -> None:
    """Change a byte of the last checkpoint."""
    last = max((store / "checkpoint").iterdir(), key=lambda folder: int(folder.name))
    file = last / "shard-1.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_the_command_that_is_advised_for_a_damaged_checkpoint_goes_on_bit_for_bit(
    store: Path,
    reference: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = stores.reader(store).attributes["maxwell"]["checkpoints"][0]["draws"]["posterior"]
    damage(store)
    before = contents(store)
    with monkeypatch.context() as patch:

        def unreached(*_: object) -> None:
            raise AssertionError("the model is built")

        patch.setattr(resume, "recorded_model", unreached)
        assert main(["resume", str(store), "--local"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "shard-1.npz is damaged: its sha256 is not the one recorded. Restore that file from a copy" in line
    assert f"That keeps {kept} draws of each stored chain, and makes those since anew" in line
    assert contents(store) == before
    advised = shlex.split(line.split("`")[1])
    assert advised == ["maxwell", "resume", str(store), "--previous-checkpoint"]
    assert command(monkeypatch, NullProgress(), [*advised[1:], "limits.sweeps=37", "--local"]) == 0
    assert same(reference, draws(open_run(store)))


def test_python_offers_the_same(store: Path, reference: dict[str, np.ndarray]) -> None:
    damage(store)
    here: dict[str, Any] = {"local": True, "progress": False, "limits": {"sweeps": 37}}
    with pytest.raises(maxwell.MaxwellError, match=r"in Python maxwell.resume\('.*', previous_checkpoint=True\)"):
        maxwell.resume(store, **here)
    assert same(reference, draws(maxwell.open_run(store).resume(previous_checkpoint=True, **here)))


def test_draws_are_not_given_up_for_nothing(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(store)
    assert main(["resume", str(store), "--local", "--previous-checkpoint"]) == 2
    assert "is intact: go on from it, without previous_checkpoint" in capsys.readouterr().err
    assert contents(store) == before


@pytest.mark.parametrize("ask", [["report"], ["resume", "--local"]])
def test_every_command_that_needs_the_checkpoint_gives_the_advice(
    ask: list[str], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for checkpoint in (store / "checkpoint").iterdir():
        if int(checkpoint.name) == max(int(other.name) for other in (store / "checkpoint").iterdir()):
            (checkpoint / "coordinator.npz").unlink()
    assert main([ask[0], str(store), *ask[1:]]) == 2
    assert "--previous-checkpoint`" in capsys.readouterr().err


def test_changed_versions_are_said_with_both(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = stores.reader(store).attributes["versions"]
    monkeypatch.setattr(versions, "versions", lambda: now | {"numpy": "99.1", "python": "3.99.0"})
    shown = Messages()
    maxwell.resume(store, limits={"sweeps": 32}, local=True, progress=shown)
    assert shown.said[:1] == [
        f"numpy was {now['numpy']} when the run began and is 99.1 now; python was {now['python']} when the run began "
        "and is 3.99.0 now: the draws go on, but perhaps not bit for bit as they would have"
    ]


def test_what_an_older_program_did_not_note_is_no_change() -> None:
    now = versions.versions()
    assert changed_versions(now) is None
    assert changed_versions({name: version for name, version in now.items() if name != "jaxlib"}) is None
    assert "jax was 0.0 when" in str(changed_versions(now | {"jax": "0.0"}))


def test_a_store_that_cannot_be_written_is_refused_before_the_model_is_built(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreached(*_: object, **__: object) -> None:
        raise AssertionError("the model is built")

    monkeypatch.setattr(resume, "recorded_model", unreached)
    (store / ".lock").unlink()
    (store / ".lock").mkdir()  # for root too, who writes where others may not
    assert main(["resume", str(store), "--local"]) == 2
    assert "A writer needs write access to the store" in capsys.readouterr().err
