"""From what a user asks for to what a job does: its settings, where its store lies, how many workers it has."""

import math
import os
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ensemble.errors import StoreError
from ensemble.store import opening as stores
from workflows.clusters.asked import NAME, AnyJob
from workflows.clusters.go_on import require_to_be_gone_on
from workflows.clusters.record import job_folder, last_job
from workflows.clusters.schedulers import pending
from workflows.modelling.registry import available
from workflows.settings.errors import SettingsError
from workflows.settings.loading import Settings

RAY_MEGABYTES, WORKER_MEGABYTES = 1024, 320
"""What Ray and the coordinator take of a machine's memory, and a worker before it has any chains (measured)."""


class Plan(NamedTuple):
    """What a job does.

    settings: those of the run.
    store: where its store lies, absolute, as the machines of the job see it.
    folder: where all of the job lies on this machine, beside the store where that is here.
    name: of the job.
    cpus: places for workers on each machine.
    workers: how many there are in all.
    """

    settings: Settings
    store: Path
    folder: Path
    name: str
    cpus: int
    workers: int

    @property
    def config(self) -> Path:
        """Where the job's settings are written."""
        return self.folder / f"{self.settings.config_name}.yaml"

    @property
    def seed_prefix(self) -> Path:
        """The store of a seed, up to that number."""
        return self.store.with_name(f"{self.store.name.removesuffix('.zarr')}-seed")

    def stores(self, seeds: tuple[int, ...]) -> list[Path]:
        """Every store of the job."""
        return [Path(f"{self.seed_prefix}{seed}.zarr") for seed in seeds] if seeds else [self.store]


def make_plan(settings: Settings, job: AnyJob, out: str | Path | None = None, *, here: bool = True) -> Plan:
    """What a job does. here: whether its store lies on disks that this machine sees, and can be looked at; where not,
    the job's folder lies where the store of a local run would.

    Raises SettingsError with everything that is wrong, before anything is written.
    """
    store = Path(out or settings.default_store).absolute()
    folder = job_folder(store if here else settings.default_store.absolute())
    ensemble = settings.ensemble
    wanted = ensemble.superchains if ensemble.workers == "auto" else ensemble.workers
    cpus = job.cpus or math.ceil(wanted / job.nodes)
    workers = min(wanted, job.nodes * cpus)
    plan = Plan(settings, store, folder, job.name or _name(settings), cpus, workers)
    problems = [*_model_problems(settings), *_room_problems(plan, job, wanted)]
    for path in plan.stores(job.seeds) if here else ():
        problems += _store_problems(path, settings, seeded=bool(job.seeds))
        if (last := last_job(path)) is not None and pending(last):
            problems.append(f"{last} is queued or at work already for the store {path}: watch it, or end it first")
    if problems:
        raise SettingsError("the job", problems)
    return plan


def command_line(plan: Plan, store: str, *where: str) -> str:
    """The arguments of the command that a job runs, as a shell reads them. store: in such words too. where: settings of
    the place that it runs at."""
    arguments = ["run", str(plan.config), "--go-on", f"ensemble.workers={plan.workers}", *where]
    return f"{shlex.join(arguments)} --out {store}"


def settings_text(plan: Plan) -> str:
    """The settings of a job as YAML: all of them, so that it does not change with the file that they came from."""
    return yaml.safe_dump(plan.settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def write_folder(plan: Plan, files: dict[str, str]) -> None:
    """Make the folder of a job, with its settings and files {name: text}."""
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        for name, text in {plan.config.name: settings_text(plan), **files}.items():
            (plan.folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the folder of the job, {plan.folder}, cannot be written: {error.strerror}") from error


def import_path() -> str:
    """What PYTHONPATH has to be for a process elsewhere to find this program and the user's modules."""
    return os.pathsep.join(dict.fromkeys([str(Path.cwd()), *(entry for entry in sys.path if _is_own(entry))]))


def _is_own(entry: str) -> bool:
    """Whether Python itself would not look there."""
    found = Path(entry or ".").absolute()
    return found.is_dir() and not any(found.is_relative_to(prefix) for prefix in {sys.prefix, sys.base_prefix})


def _name(settings: Settings) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in settings.config_name.lower())
    plain = plain.strip("-")[:40].strip("-")
    return plain if NAME.fullmatch(plain) else "maxwell"


def _model_problems(settings: Settings) -> list[str]:
    name = settings.model.name
    if name.startswith("__main__:"):
        return [f"model.name: {name} is a function of a running script, which a job does not see: save it in a module"]
    if ":" not in name and name not in available():
        return [f"model.name: no model is called {name!r}: choose one of {', '.join(available())}, or module:function"]
    return []


def _room_problems(plan: Plan, job: AnyJob, wanted: int) -> list[str]:
    ensemble, problems = plan.settings.ensemble, []
    if ensemble.address is not None:
        problems.append(f"ensemble.address: given {ensemble.address}, but a job has a Ray of its own: leave it out")
    if ensemble.workers != "auto" and wanted > job.nodes * plan.cpus:
        problems.append(f"ensemble.workers: {wanted} workers have no place on {job.nodes * plan.cpus} CPUs in all")
    if job.nodes > ensemble.superchains:
        problems.append(
            f"nodes: given {job.nodes}, but there are {ensemble.superchains} superchains to carry "
            "(ensemble.superchains): some would have none"
        )
    here = min(plan.cpus, math.ceil(plan.workers / job.nodes))
    least = RAY_MEGABYTES + here * WORKER_MEGABYTES
    if job.megabytes is not None and job.megabytes < least:
        problems.append(
            f"memory: given {job.memory}, but {here} workers and Ray take {least}M before they have any chains: ask "
            "for more, or for fewer CPUs of each node"
        )
    return problems


def _store_problems(store: Path, settings: Settings, *, seeded: bool) -> list[str]:
    """What is wrong with the place of a store, or with the run that is there already."""
    try:
        if not stores.is_store(store):
            stores.require_place(store)
        elif (writer := stores.writer_of(store)) is not None:
            return [f"the store {store} is being written by {writer}: watch it, or stop it first"]
        else:
            changes: dict[str, Any] = {"seed": stores.reader(store).attributes["seed"]} if seeded else {}
            require_to_be_gone_on(store, settings.model_copy(update=changes))
    except SettingsError as error:
        return [f"the run in {store}: {problem}" for problem in error.problems]
    except StoreError as error:
        return [str(error)]
    return []
