"""Compiled programs kept on disk: where, when not, and that what comes from the disk computes the same bits."""

from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from ensemble.fleet.compilation_cache import OPTIONS, environment, folder, keep_programs


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache folder of one's own, in a JAX that was not told of any."""
    names = ("jax_compilation_cache_dir", *OPTIONS)
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    for name in OPTIONS:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("MAXWELL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path / "maxwell" / "jax" / jax.__version__
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_programs_are_kept_in_the_users_cache_folder(untold: Path) -> None:
    assert keep_programs() is None
    assert jax.config.jax_compilation_cache_dir == str(untold)
    assert untold.is_dir()
    assert environment()["JAX_COMPILATION_CACHE_DIR"] == str(untold)


def test_a_relative_cache_folder_counts_for_nothing(untold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert folder() == Path.home() / ".cache" / "maxwell" / "jax" / jax.__version__


def test_one_can_go_without_or_elsewhere(untold: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAXWELL_CACHE", "off")
    assert keep_programs() is None
    assert jax.config.jax_compilation_cache_dir is None
    assert environment() == {}
    monkeypatch.setenv("MAXWELL_CACHE", str(tmp_path / "elsewhere"))
    assert keep_programs() is None
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "elsewhere")


def test_a_cache_that_jax_was_told_of_stays(untold: Path, tmp_path: Path) -> None:
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    assert keep_programs() is None
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
    assert not untold.exists()


def test_a_folder_that_cannot_be_written_is_said(untold: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAXWELL_CACHE", str(tmp_path / "file"))
    said = keep_programs()
    assert said is not None
    assert "compiled programs are not kept" in said
    assert "MAXWELL_CACHE=off" in said
    assert jax.config.jax_compilation_cache_dir is None


def test_a_program_from_the_disk_computes_the_same_bits(untold: Path) -> None:
    keep_programs()
    events: list[str] = []
    jax.monitoring.register_event_listener(lambda event, **_: events.append(event))

    def program(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.exp(jnp.sin(x)) / jnp.sqrt(1 + x**2)) * jnp.cumsum(x)

    x = np.random.default_rng(0).normal(size=1000)
    first = np.asarray(jax.jit(program)(x))
    jax.clear_caches()
    events.clear()
    second = np.asarray(jax.jit(program)(x))
    assert "/jax/compilation_cache/cache_hits" in events
    np.testing.assert_array_equal(first, second)
