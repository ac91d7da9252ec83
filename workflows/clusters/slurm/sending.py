"""A job handed to sbatch."""

from workflows.clusters.asked import SlurmJob
from workflows.clusters.plan import Plan, write_folder
from workflows.clusters.programs import answer, require
from workflows.clusters.record import Job, record, submitted_now
from workflows.clusters.slurm.script import SCRIPT, script


def send(plan: Plan, job: SlurmJob) -> list[Job]:
    """Submit a job; what is recorded of it, for every seed where there are several. Raises SubmitError."""
    require("sbatch", "submit from a login node of the cluster")
    write_folder(plan, {SCRIPT: script(plan, job)})
    # --parsable prints the number and, of a federation, the cluster after a semicolon.
    number = answer(["sbatch", "--parsable", str(plan.folder / SCRIPT)]).strip().partition(";")[0]
    numbers = [f"{number}_{seed}" for seed in job.seeds] or [number]
    jobs = [submitted_now("slurm", one, store) for one, store in zip(numbers, plan.stores(job.seeds), strict=True)]
    for one in jobs:
        record(one)
    return jobs
