"""What a job's scheduler says of it, asked by the scheduler's own program."""

import shutil
import subprocess

from workflows.clusters.record import Job

SECONDS = 30.0
"""A scheduler that says nothing for so long is not asked again at once."""

AT_WORK = {
    "slurm": {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "PREEMPTED"},
    "kubernetes": {"Initializing", "Waiting", "Running", "Retrying", "Suspending", "Suspended", "New", ""},
    "ray": {"PENDING", "RUNNING"},
}
"""States in which a job may still go on with its run."""


def question(job: Job) -> list[str]:
    """The command that prints a job's states."""
    if job.kind == "slurm":
        return ["squeue", "--noheader", "--jobs", job.id, "--format", "%T"]
    if job.kind == "kubernetes":
        where = ["--namespace", job.place] if job.place else []
        return ["kubectl", "get", "rayjob", job.id, *where, "--output", "jsonpath={.status.jobDeploymentStatus}"]
    return ["ray", "job", "status", "--address", job.place, "--log-style", "record", job.id]


def pending(job: Job) -> bool | None:
    """Whether a job is still queued or at work; None where its scheduler cannot be asked from here."""
    command = question(job)
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    if job.kind == "slurm":
        # A job that is long over is no longer known, which is an error of squeue.
        return done.returncode == 0 and bool(set(done.stdout.split()) & AT_WORK["slurm"])
    if done.returncode != 0:
        said = done.stderr + done.stdout
        return False if "NotFound" in said or "does not exist" in said else None
    if job.kind == "ray":
        return bool(set(done.stdout.replace("'", " ").replace(":", " ").split()) & AT_WORK["ray"])
    return done.stdout.strip() in AT_WORK["kubernetes"]
