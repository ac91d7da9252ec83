"""A run submitted to a cluster: from Python as maxwell.submit, from a shell as `maxwell submit`."""

from pathlib import Path
from typing import Any, NamedTuple

from workflows.clusters import ray_jobs
from workflows.clusters.asked import KubernetesJob, RayJob, SlurmJob, asked
from workflows.clusters.kubernetes import sending as kubernetes
from workflows.clusters.plan import make_plan
from workflows.clusters.record import Job
from workflows.clusters.slurm import script as slurm_script
from workflows.clusters.slurm import sending as slurm
from workflows.sampling.configuration import named_settings
from workflows.settings.loading import Settings
from workflows.settings.source import Changes


class Submission(NamedTuple):
    """What became of a job.

    text: the script, manifest or command that was handed over, or would be.
    jobs: what was submitted, one for each seed; empty for a dry run.
    """

    text: str
    jobs: tuple[Job, ...]

    def __str__(self) -> str:
        if not self.jobs:
            return self.text
        lines = [f"Submitted as {job}, to {job.store}" for job in self.jobs]
        return "\n".join([*lines, "Follow it with:", f"  {following(self.jobs[0])}"])


def following(job: Job) -> str:
    """The command that shows how far a job is: its store is seen from here, or where it runs."""
    if job.kind == "kubernetes":
        where = f" --namespace {job.place}" if job.place else ""
        return f"kubectl logs --follow{where} job/{job.id}"
    if job.kind == "ray":
        return f"ray job logs --follow --address {job.place} {job.id}"
    return f"maxwell watch {job.store}"


def submit(
    config: str | Path,
    settings: Changes = (),
    *,
    on: str,
    out: str | Path | None = None,
    dry_run: bool = False,
    **options: Any,
) -> Submission:
    """Submit the run that a config says to a cluster.

        maxwell.submit("airway.yaml", {"goals.ess": 1000}, on="slurm", nodes=2, cpus=8, time="4:00")

    config, settings: as in `run`; the job keeps them as they are now. on: slurm, kubernetes or ray. out: where the
    store lies as the cluster's machines see it. dry_run: hand over nothing, for the text alone. options: those of
    `maxwell submit --help`, with underscores. A job that is started again, by its scheduler or by submitting it once
    more, goes on with its run. Raises MaxwellError with all that is wrong, before anything is submitted.
    """
    job, chosen = asked(on, options), named_settings(config, settings)
    if isinstance(job, KubernetesJob):
        return _to_kubernetes(chosen, job, out, dry_run)
    if isinstance(job, RayJob):
        return _to_ray(chosen, job, out, dry_run)
    assert isinstance(job, SlurmJob)
    return _to_slurm(chosen, job, out, dry_run)


def _to_slurm(settings: Settings, job: SlurmJob, out: str | Path | None, dry_run: bool) -> Submission:
    plan = make_plan(settings, job, out)
    text = slurm_script.script(plan, job)
    return Submission(text, () if dry_run else tuple(slurm.send(plan, job)))


def _to_kubernetes(settings: Settings, job: KubernetesJob, out: str | Path | None, dry_run: bool) -> Submission:
    plan = make_plan(settings, job, kubernetes.place(settings, job, out), here=False)
    text, names = kubernetes.manifest(plan, job)
    return Submission(text, () if dry_run else tuple(kubernetes.send(plan, job, text, names)))


def _to_ray(settings: Settings, job: RayJob, out: str | Path | None, dry_run: bool) -> Submission:
    plan = make_plan(settings, job, ray_jobs.place(out), here=False)
    text = ray_jobs.shown(plan, job)
    return Submission(text, () if dry_run else tuple(ray_jobs.send(plan, job)))
