"""Compiled programs are kept on disk from one run to the next: a model is compiled once and not in every process.

They lie in $XDG_CACHE_HOME/maxwell/jax (~/.cache/maxwell/jax), in a folder for each version of JAX. MAXWELL_CACHE names
another folder, or says `off`; where JAX has been told of a cache already (JAX_COMPILATION_CACHE_DIR), that one is used.
A program from the cache is the one that was compiled, bit for bit, so draws do not depend on it.
"""

import os
import tempfile
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

VARIABLE = "MAXWELL_CACHE"
OFF = "off"
MAX_BYTES = 1_000_000_000
"""Size at which the programs that were not used for longest are removed."""

OPTIONS = {
    "jax_compilation_cache_max_size": MAX_BYTES,
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
"""By JAX's names: small programs are kept too, of which a run has dozens."""


def folder() -> Path | None:
    """Where compiled programs are kept unless JAX was told otherwise; None: nowhere."""
    given = os.environ.get(VARIABLE, "")
    if given == OFF:
        return None
    if given:
        return Path(given).expanduser()
    base = _user_cache()
    # Not in maxwell/jax itself: a bounded cache fails on programs that were kept without a bound, as once there.
    return None if base is None else base / "maxwell" / "jax" / jax.__version__


def _user_cache() -> Path | None:
    """The user's cache folder by the convention of XDG, in which a path that is not absolute counts for nothing; None
    for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


def environment() -> dict[str, str]:
    """The environment variables by which a process that is yet to start keeps its programs in the same place."""
    if (chosen := folder()) is None:
        return {}
    options = {name.upper(): str(value) for name, value in OPTIONS.items()}
    return {"JAX_COMPILATION_CACHE_DIR": str(chosen), **options}


def keep_programs() -> str | None:
    """Let this process keep its compiled programs. Returns a sentence for the user where they cannot be kept.

    Nothing is changed where JAX has a cache, or none is wanted.
    """
    told = jax.config.jax_compilation_cache_dir is not None  # type: ignore[attr-defined]
    if told or os.environ.get(VARIABLE) == OFF:
        return None
    if (chosen := folder()) is None:
        return _unkept("this user has no home folder")
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            pass
    except OSError as error:
        return _unkept(f"{chosen} cannot be written ({error.strerror})")
    jax.config.update("jax_compilation_cache_dir", str(chosen))
    for name, value in OPTIONS.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    # JAX decides at its first program whether there is a cache: it may have compiled one before.
    compilation_cache.reset_cache()
    return None


def _unkept(why: str) -> str:
    return (
        f"compiled programs are not kept, because {why}: every run compiles anew. Name a folder with "
        f"{VARIABLE}=FOLDER, or {VARIABLE}={OFF} to go without."
    )
