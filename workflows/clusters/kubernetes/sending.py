"""A job handed to Kubernetes."""

import time
from pathlib import PurePosixPath

from workflows.clusters.asked import KubernetesJob
from workflows.clusters.kubernetes.manifest import Document, documents, text
from workflows.clusters.plan import Plan, write_folder
from workflows.clusters.programs import answer, require
from workflows.clusters.record import Job, record, submitted_now
from workflows.settings.errors import SettingsError
from workflows.settings.loading import Settings

MANIFEST = "job.yaml"


def place(settings: Settings, job: KubernetesJob, out: object) -> str:
    """Where the store lies in the containers: below the claim's mount. Raises SettingsError where `out` does not."""
    if out is None:
        return f"{job.mount}/{settings.config_name}.zarr"
    if PurePosixPath(job.mount) not in PurePosixPath(str(out)).parents:
        raise SettingsError(
            "the job", [f"out: given {out}, which does not lie on the claim, mounted at {job.mount} (--mount)"]
        )
    return str(out)


def manifest(plan: Plan, job: KubernetesJob, moment: float | None = None) -> tuple[str, list[str]]:
    """The manifest of a job, and the names of its RayJobs, one a seed. moment: seconds since 1970, which make names
    that no earlier job has."""
    stamp = time.strftime("%y%m%d-%H%M%S", time.gmtime(moment))
    found: list[Document] = []
    names = []
    for seed, store in zip(job.seeds or (None,), plan.stores(job.seeds), strict=True):
        seeded = plan.settings if seed is None else plan.settings.model_copy(update={"seed": seed})
        name = f"{plan.name}-{stamp}" if seed is None else f"{plan.name}-{stamp}-seed{seed}"
        found += documents(plan._replace(settings=seeded, store=store), job, name)
        names.append(name)
    return text(found), names


def send(plan: Plan, job: KubernetesJob, written: str, names: list[str]) -> list[Job]:
    """Submit a job by its manifest; what is recorded of it, for every seed. Raises SubmitError."""
    require("kubectl", "install it, and let it know your cluster")
    write_folder(plan, {MANIFEST: written})
    where = ["--namespace", job.namespace] if job.namespace else []
    # Everything is looked at by the cluster before anything is made.
    for trial in (["--dry-run=server"], []):
        answer(["kubectl", "create", *where, *trial, "--filename", str(plan.folder / MANIFEST)])
    jobs = [
        submitted_now("kubernetes", name, store, job.namespace or "")
        for name, store in zip(names, plan.stores(job.seeds), strict=True)
    ]
    for one in jobs:
        record(one, plan.folder)
    return jobs
