"""A job handed to a Ray cluster that runs already, by `ray job submit`."""

import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from ensemble.fleet.cluster_address import PATIENCE
from ensemble.fleet.ray_environment import own_code
from workflows.clusters.asked import RayJob
from workflows.clusters.plan import Plan, command_line, settings_text
from workflows.clusters.programs import SubmitError, answer
from workflows.clusters.record import Job, record, submitted_now
from workflows.settings.errors import SettingsError

SERVER = "RAY_API_SERVER_ADDRESS"
URL = re.compile(r"https?://[^\s/]+(/.*)?")
NOT_SENT = ("*.zarr", "*.job", "runs", ".*", "__pycache__")
"""What of the current folder is not sent: modules are, and small files beside them."""
MEGABYTES = 100
"""How much of it is sent at most."""


def address(job: RayJob) -> str:
    """Where the cluster's dashboard listens. Raises SettingsError where nobody says, or it is no such address."""
    found = job.address or os.environ.get(SERVER, "")
    if not URL.fullmatch(found):
        given = f"given {found!r}" if found else f"not given, and {SERVER} is not set"
        raise SettingsError("the options of a job on ray", [f"address: {given}; allowed: http://host:port"])
    return found


def place(out: object) -> str:
    """Where the store lies on the cluster's head. Raises SettingsError unless it is said, from the root on."""
    if out is None or not Path(str(out)).is_absolute():
        raise SettingsError(
            "the job", ["out: name an absolute path on the cluster's head, on a disk that outlives it (--out)"]
        )
    return str(out)


def commands(plan: Plan, job: RayJob, folder: str, moment: float | None = None) -> dict[str, list[str]]:
    """Name -> the command that submits it, one for each seed. folder: what is sent along as the working directory."""
    stamp = time.strftime("%y%m%d-%H%M%S", time.gmtime(moment))
    found = {}
    for seed, store in zip(job.seeds or (None,), plan.stores(job.seeds), strict=True):
        name = f"{plan.name}-{stamp}" if seed is None else f"{plan.name}-{stamp}-seed{seed}"
        seeded = [] if seed is None else [f"seed={seed}"]
        inside = plan._replace(folder=Path())
        run = command_line(inside, shlex.quote(str(store)), "ensemble.address=auto", *seeded)
        environment = json.dumps({"env_vars": {"PJRT_NPROC": "1", "OMP_NUM_THREADS": "1"}})
        found[name] = [
            *("ray", "job", "submit", "--address", address(job), "--submission-id", name, "--no-wait"),
            *("--working-dir", folder, "--runtime-env-json", environment, "--"),
            *("python", "-m", "workflows.cli", *shlex.split(run)),
        ]
    return found


def shown(plan: Plan, job: RayJob) -> str:
    """The commands as a shell reads them."""
    return "\n".join(shlex.join(command) for command in commands(plan, job, "FOLDER").values())


def send(plan: Plan, job: RayJob) -> list[Job]:
    """Submit a job; what is recorded of it, for every seed. Raises SubmitError."""
    program = _ray()
    _require_dashboard(address(job))
    jobs = []
    with _parcel(plan) as folder:
        for (name, command), store in zip(
            commands(plan, job, str(folder)).items(), plan.stores(job.seeds), strict=True
        ):
            answer([program, *command[1:]])
            jobs.append(submitted_now("ray", name, store, address(job)))
    for one in jobs:
        record(one, plan.folder)
    return jobs


def _require_dashboard(url: str) -> None:
    """Raise SubmitError, in seconds, where nothing speaks HTTP at `url`: Ray itself tries for longer."""
    try:
        with urlopen(f"{url.rstrip('/')}/api/version", timeout=PATIENCE):
            pass
    except HTTPError:
        return  # it wants a token, which `ray job submit` shows
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise SubmitError(
            f"no dashboard of a Ray cluster answers at {url} ({reason}): give the one that `ray start --head` prints, "
            "usually of port 8265, through a tunnel where it listens on its own machine only"
        ) from None


def _ray() -> str:
    """The program `ray` beside this Python, else that of the PATH."""
    beside = Path(sys.executable).with_name("ray")
    found = str(beside) if beside.exists() else shutil.which("ray")
    if found is None:
        raise SubmitError("there is no ray on the PATH: install ray[default]")
    return found


def _require_light(here: Path) -> None:
    """Raise SubmitError where the current folder is too much to be sent."""
    size = 0
    for above, folders, files in os.walk(here):
        skipped = shutil.ignore_patterns(*NOT_SENT)(above, [*folders, *files])
        folders[:] = [name for name in folders if name not in skipped]
        size += sum((Path(above) / name).stat().st_size for name in files if name not in skipped)
        if size > MEGABYTES << 20:
            raise SubmitError(
                f"the folder {here} holds more than the {MEGABYTES} MB that are sent with a job: submit from one that "
                "holds the modules of your model and little else, and name large files where the cluster has them"
            )


@contextmanager
def _parcel(plan: Plan) -> Iterator[Path]:
    """A folder with what the cluster needs of this machine: the settings, modules of the current folder, and this
    program where it is a checkout, not an installed package."""
    with tempfile.TemporaryDirectory(prefix="maxwell-") as made:
        folder = Path(made) / "job"
        _require_light(Path.cwd())
        shutil.copytree(Path.cwd(), folder, ignore=shutil.ignore_patterns(*NOT_SENT))
        for source in own_code():
            if source.is_dir():
                shutil.copytree(source, folder / source.name, dirs_exist_ok=True)
            else:
                shutil.copy(source, folder / source.name)
        (folder / plan.config.name).write_text(settings_text(plan), encoding="utf-8")
        yield folder
