"""The script that sbatch is given: what to ask of SLURM, and one srun that starts every node's part."""

import shlex
import sys
from pathlib import Path

from workflows.clusters.asked import SlurmJob
from workflows.clusters.plan import Plan, command_line, import_path

MODULE = "workflows.clusters.slurm.node"

BODY = """\
set -u
export PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0 {exports}
folder={folder}
store={store}
sitting="$folder/sitting-$SLURM_JOB_ID-${{SLURM_RESTART_COUNT:-0}}"
if [ ! -d "$folder" ]; then
    echo "maxwell: $folder is not seen from $(hostname): put the store on a disk that all nodes share" >&2
    exit 2
fi

# SLURM sends the notice to this shell alone, which hands it on: srun passes it to every node.
trap 'kill -USR1 "$step" 2>/dev/null' USR1
trap 'kill -USR2 "$step" 2>/dev/null' USR2
# Whoever ends the job tells its steps as well: this shell only has to stay until they are done.
trap : TERM

srun --kill-on-bad-exit=0 {srun} --output="$folder/$SLURM_JOB_ID-node%n-%N.log" --open-mode=append \\
    {python} -m {module} --sitting "$sitting" --store "$store" --cpus {cpus} -- \\
    {command} &
step=$!
while wait "$step"; status=$?; kill -0 "$step" 2>/dev/null; do :; done

if [ -e "$sitting/again" ]; then
    rm -r "$sitting"
    echo "maxwell: the job's time is over and all rounds are kept: it is queued again" >&2
    scontrol requeue "$SLURM_JOB_ID"
    refused=$?
    # Above 128 a signal has ended it: that of the requeue, which ends this script as well.
    if [ "$refused" -ne 0 ] && [ "$refused" -lt 128 ]; then
        sbatch {again}"$folder/{script}"
    fi
    exit 0
fi
rm -rf "$sitting"
exit "$status"
"""

SCRIPT = "job.sh"


def script(plan: Plan, job: SlurmJob) -> str:
    """The text of the script of a job."""
    folder, store = shlex.quote(str(plan.folder)), shlex.quote(str(plan.store))
    # One worker needs no Ray; on one node it would be one of this machine's own.
    arguments = command_line(plan, '"$store"', *(["--local"] if plan.workers == 1 else []))
    again = ""
    if job.seeds:
        store = f"{shlex.quote(str(plan.seed_prefix))}$SLURM_ARRAY_TASK_ID.zarr"
        arguments += ' "seed=$SLURM_ARRAY_TASK_ID"'
        again = '--array="$SLURM_ARRAY_TASK_ID" '
    body = BODY.format(
        exports=f"PYTHONPATH={shlex.quote(import_path())}",
        folder=folder,
        store=store,
        srun=f"--cpus-per-task={plan.cpus}",
        python=shlex.quote(sys.executable),
        module=MODULE,
        cpus=plan.cpus,
        command=arguments,
        again=again,
        script=SCRIPT,
    )
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {line}" for line in directives(plan, job)), "", body])


def directives(plan: Plan, job: SlurmJob) -> list[str]:
    """What is asked of SLURM, without the #SBATCH. A user's own come last, so that they overrule these."""
    number = "%A_%a" if job.seeds else "%j"
    asked = {
        "job-name": plan.name,
        "nodes": str(job.nodes),
        "ntasks-per-node": "1",
        "cpus-per-task": str(plan.cpus),
        "gpus-per-node": str(job.gpus) if job.gpus else None,
        "mem": f"{job.megabytes}M" if job.megabytes else None,
        "time": job.time,
        "partition": job.partition,
        "account": job.account,
        "array": ",".join(map(str, job.seeds)) or None,
        "signal": f"B:USR1@{job.notice}",
        "chdir": str(Path.cwd()),
        "output": f"{plan.folder}/slurm-{number}.log",
        "open-mode": "append",
    }
    lines = [f"--{name}={_quoted(value)}" for name, value in asked.items() if value is not None]
    return [*lines, "--requeue", *job.directives]


def _quoted(value: str) -> str:
    """A value as sbatch reads it: quoted where it has blanks."""
    return f'"{value}"' if any(character.isspace() for character in value) else value
