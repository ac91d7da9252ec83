"""Where the chains begin, as settings.start says: files and other runs are read and checked before anything runs."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensemble.protocol.plans import Arrays
from ensemble.run.handover import Handover, dealt, handover
from ensemble.shard.settings import ShardSettings
from ensemble.shard.starts.kinds import APPROXIMATIONS
from ensemble.store.opening import reader
from kernels.target import Site
from workflows.modelling.errors import ModelError
from workflows.modelling.fingerprint import compare_fingerprints, fingerprint
from workflows.modelling.model import Model
from workflows.settings.loading import Settings, SettingsError
from workflows.settings.sections.start import StartSettings

GENERATION = "generation"
"""The attribute of a store that counts the runs which its run descends from."""


class Beginning(NamedTuple):
    """starts: of every superchain, None where each draws its own. handover: what comes from another run."""

    starts: list[Arrays] | None
    handover: Handover | None


def require_gradient(kind: str, model: Model) -> None:
    """Raise ModelError for starts that follow the gradient of a model that has none."""
    if kind in APPROXIMATIONS and not model.target.has_gradient:
        raise ModelError(
            f"start.kind is {kind}, which follows the gradient of the log density, and model {model.name!r} has none: "
            "choose start.kind=prior, uniform or given"
        )


def generation(settings: StartSettings) -> int:
    """One more than that of the run started from, 0 without: runs of one seed then use random numbers of their own.

    Raises StoreError where start.store is no store.
    """
    return 0 if settings.store is None else int(reader(settings.store).attributes.get(GENERATION, 0)) + 1


def beginning(settings: Settings, model: Model, shard: ShardSettings) -> Beginning:
    """What the run begins with. Raises SettingsError for a file that does not fit, ModelError where start.store is of
    another model, StoreError where it has nothing to start from."""
    start, superchains = settings.start, settings.ensemble.superchains
    starts, taken = None, None
    if start.store is not None:
        store = reader(start.store)
        attributes, checkpoint = store.attributes, store.last_checkpoint()
        _require_same(store.locator, attributes, model)
        there, here = attributes["settings"], settings.model_dump(mode="json")
        same = {f"same_{section}": there[section] == here[section] for section in ("kernels", "tempering")}
        taken = handover(store.locator, checkpoint, start.reuse, **same)
        if start.reuse != "tuning":
            starts = dealt(checkpoint, superchains, shard.replicas, len(shard.ladder.temperatures))
    if start.file is not None:
        starts = given_starts(Path(start.file), model.target.sites, superchains, shard.replicas)
    return Beginning(starts, taken)


def _require_same(source: str, attributes: Mapping[str, Any], model: Model) -> None:
    if differences := compare_fingerprints(attributes["fingerprint"], fingerprint(model)):
        raise ModelError(
            f"start.store: {source} holds a run of another model or of other data: {'; '.join(differences)}. "
            "Start from a run of the same model and data, or leave out start.store"
        )


def given_starts(path: Path, sites: Mapping[str, Site], superchains: int, replicas: int) -> list[Arrays]:
    """The starts in an .npz file of unconstrained arrays by site name, for `superchains` of `replicas` each.

    An array of the site's shape is one start for all; with one more axis in front, that axis has a start for each
    superchain, or one for each chain (chain c is replica c mod replicas of superchain c div replicas). Sites may differ
    in this. Raises SettingsError with everything that is wrong in the file.
    """
    arrays = _read(path)
    problems = [f"{name}: is no site; the sites are {', '.join(sites)}" for name in arrays if name not in sites]
    starts: list[Arrays] = [{} for _ in range(superchains)]
    for name, site in sites.items():
        try:
            values = _by_superchain(arrays.get(name), site, superchains, replicas)
        except ValueError as error:
            problems.append(f"{name}: {error}")
        else:
            for superchain, start in enumerate(starts):
                start[f"rung/0/position/{name}"] = values[superchain]
    if problems:
        raise SettingsError(_source(path), problems)
    return starts


def _source(path: Path) -> str:
    return f"the starts of {path} (start.file)"


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of an .npz file."""
    try:
        opened = np.load(path, allow_pickle=False)
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        with opened:
            return dict(opened)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        allowed = "give numbers by site, as np.savez(file, mu=..., sd=...) does"
        raise SettingsError(_source(path), [f"the file cannot be read: {reason}; {allowed}"]) from error


def _by_superchain(values: np.ndarray | None, site: Site, superchains: int, replicas: int) -> np.ndarray:
    """A site's starts, [superchains, replicas, *shape] in float64. ValueError says why there are none."""
    one = site.shape
    each, chains = (superchains, *one), (superchains * replicas, *one)
    shapes = f"allowed: {one} (one start), {each} (one a superchain) or {chains} (one a chain)"
    if values is None:
        raise ValueError(f"is missing; {shapes}")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"has type {values.dtype}; allowed: real numbers")
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"{bad} of its {values.size} values are NaN or infinite; allowed: finite numbers")
    if values.shape not in (one, each, chains):
        raise ValueError(f"has shape {values.shape}; {shapes}")
    if values.shape == chains:
        values = values.reshape(superchains, replicas, *one)
    elif values.shape == each:
        values = values[:, None]
    return np.broadcast_to(values, (superchains, replicas, *one)).astype(np.float64)
