"""Places for temporary files: the user's choice where it does, else others, else every refusal told."""

import tempfile
from pathlib import Path

import pytest

from ensemble import surroundings
from ensemble.surroundings import NoTemporaryFolder, temporary_folder, why_not_made


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two that can be written: TMPDIR, and the only one elsewhere, of a shorter name."""
    chosen, other = tmp_path / "chosen_by_the_user", tmp_path / "other"
    chosen.mkdir()
    other.mkdir()
    monkeypatch.setenv("TMPDIR", str(chosen))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(surroundings, "ELSEWHERE", (str(other),))
    return chosen, other


def test_the_usual_place_is_taken_where_it_does(places: tuple[Path, Path]) -> None:
    assert temporary_folder().parent == places[0]
    assert temporary_folder(len(str(places[0]))).parent == places[0]


def test_another_place_is_taken_for_a_name_that_is_too_long(places: tuple[Path, Path]) -> None:
    assert temporary_folder(len(str(places[0])) - 1).parent == places[1]


def test_every_place_that_was_tried_is_told(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, other = places
    other.rmdir()
    monkeypatch.setattr(tempfile, "tempdir", str(chosen))
    with pytest.raises(NoTemporaryFolder) as caught:
        temporary_folder(len(str(other)), ", or do without")
    assert str(caught.value) == (
        f"there is no folder for temporary files whose name has at most {len(str(other))} characters, as Ray's sockets "
        f"need: {chosen} has {len(str(chosen))}, {other} cannot be written (No such file or directory). Set TMPDIR to "
        "one that can be written, or do without"
    )


def test_a_place_is_tried_and_nothing_is_left(tmp_path: Path) -> None:
    assert why_not_made(tmp_path / "new.txt") is None
    assert why_not_made(tmp_path / "nowhere" / "new.txt") == "No such file or directory"
    assert list(tmp_path.iterdir()) == []
