"""A model's fingerprint: what a resumed run compares, so that it never goes on with another model or other data."""

import hashlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.shard.calling_model import calling_model
from kernels.target import Target
from workflows.modelling.errors import ModelError
from workflows.modelling.model import Model

TOLERANCE, OF_SINGLE = 1e-10, 1e-4
"""Relative difference of a term at the probe position above which two models are different; of one computed in
float32."""


def fingerprint(model: Model) -> dict[str, Any]:
    """Sites, supports, settings, checksums of the data, and every term at a fixed probe position; fits JSON.

    Numbers that are not finite appear as text ("nan", "inf"), which JSON can hold.
    """
    sites = {s.name: {"shape": list(s.shape), "plates": list(s.plates)} for s in model.target.sites.values()}
    with calling_model(model.name):
        summed = jax.jit(lambda position, data: term_sums(model.target, position, data))(probe(model), model.data)
        sums = {name: float(value) for name, value in summed.items()}
    return {
        "name": model.name,
        "sites": sites,
        "supports": dict(model.supports),
        "static": dict(model.static),
        "kinds": dict(model.target.term_kinds),
        "single": sorted(model.target.single),
        "data": checksums(model.data),
        "terms": {name: _plain(value) for name, value in sorted(sums.items())},
    }


def probe(model: Model) -> dict[str, jax.Array]:
    """A position that depends on the sites' names and shapes only: values between -1/2 and 1/2, all different."""
    position = {}
    for rank, (name, site) in enumerate(sorted(model.target.sites.items())):
        index = np.arange(math.prod(site.shape), dtype=np.float64)
        position[name] = jnp.asarray((0.5 * np.cos(index + rank + 1.0)).reshape(site.shape))
    return position


def term_sums(target: Target, position: dict[str, jax.Array], data: Any) -> dict[str, jax.Array]:
    """Every term summed over its elements: {term: scalar}."""
    return {name: jnp.sum(values) for name, values in target.log_terms(position, data).items()}


def checksums(data: Any) -> dict[str, dict[str, Any]]:
    """Path of every array in the data -> its SHA-256, type and shape."""
    leaves = jax.tree_util.tree_flatten_with_path(data)[0]
    return {jax.tree_util.keystr(path): _checksum(np.asarray(leaf)) for path, leaf in leaves}


def _checksum(array: np.ndarray) -> dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"sha256": digest, "dtype": str(array.dtype), "shape": list(array.shape)}


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def compare_fingerprints(recorded: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """One sentence for each difference; empty for the same model. Terms may differ by TOLERANCE or OF_SINGLE."""
    loose = {f"terms.{name}" for name in recorded.get("single", ())}
    return _differences("", recorded, present, loose)


def require_same(recorded: dict[str, Any], model: Model) -> None:
    """Raise ModelError unless the model has the recorded fingerprint."""
    if differences := compare_fingerprints(recorded, fingerprint(model)):
        raise ModelError(
            f"model {model.name!r} is not the one that was recorded: {'; '.join(differences)}. "
            "Give the same model, settings and data, or start a new run"
        )


def _differences(path: str, recorded: Any, present: Any, loose: set[str]) -> list[str]:
    """Differences of two JSON values, with the path to each; loose: paths of numbers that may differ more."""
    if isinstance(recorded, dict) and isinstance(present, dict):
        found: list[str] = []
        for key in sorted(recorded.keys() | present.keys()):
            where = f"{path}.{key}" if path else key
            if key not in present:
                found.append(f"{where} was recorded and is gone")
            elif key not in recorded:
                found.append(f"{where} is new")
            else:
                found += _differences(where, recorded[key], present[key], loose)
        return found
    return (
        []
        if _equal(recorded, present, OF_SINGLE if path in loose else TOLERANCE)
        else [f"{path}: recorded {recorded!r}, now {present!r}"]
    )


def _equal(recorded: Any, present: Any, tolerance: float) -> bool:
    """Equality, of floats within the tolerance."""
    if isinstance(recorded, float) and isinstance(present, float):
        return math.isclose(recorded, present, rel_tol=tolerance)
    return bool(recorded == present)
