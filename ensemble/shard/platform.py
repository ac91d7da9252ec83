"""Whether JAX has a device to compute on: an environment may ask for one that is not there."""

import os
import socket

import jax

from ensemble.errors import MaxwellError

VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")


class PlatformError(MaxwellError):
    """JAX cannot compute on the platform that it was told to."""


def require_platform() -> None:
    """Raise PlatformError where JAX has no device, by the name of the variable that asks for it."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        # JAX looks for CUDA and ROCm by assertions that say nothing.
        why = str(error).strip() or "no such device, or the part of JAX for it is not installed"
        raise PlatformError(
            f"JAX cannot compute on what {_asked()} asks for, on machine {socket.gethostname()}: {why}. Take the "
            'setting away, or set JAX_PLATFORMS=cpu; for a GPU install JAX with it (pip install "jax[cuda13]")'
        ) from error


def _asked() -> str:
    """The settings of JAX that name a platform: variables, or what a script has told it."""
    given = [f"{name}={os.environ[name]}" for name in VARIABLES if os.environ.get(name)]
    told: str | None = jax.config.jax_platforms  # type: ignore[attr-defined]
    if told and f"JAX_PLATFORMS={told}" not in given:
        given.append(f"jax_platforms={told} (jax.config)")
    return " and ".join(given) or "its configuration"
