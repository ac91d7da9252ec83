"""A real SLURM of two nodes on this machine, where its programs are installed: everything in one folder, on ports and
with a key of its own, ended with the block."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel", "sinfo")
TRIES = 600
"""Looks at something that takes a while, a poll's length apart."""
CONF = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser={user}
SlurmdUser={user}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SlurmdTimeout=30
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/%n.log
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def absent() -> str | None:
    """Why no SLURM can be started here; None where it can."""
    lacking = [name for name in PROGRAMS if _program(name) is None]
    if lacking:
        return f"no {', '.join(lacking)} here"
    return None if os.getuid() == 0 else "needs root, as containers have it"


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextmanager
def two_nodes(folder: Path) -> Iterator[Path]:
    """The nodes n1 and n2, idle; yields the configuration that SLURM_CONF has to name."""
    (folder / "state").mkdir()
    key, conf = folder / "key", folder / "slurm.conf"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    conf.write_text(CONF.format(host=host, ports=_free_ports(3), folder=folder, user="root"))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munge = [f"--{name}={folder}/munge.{name.removesuffix('-file')}" for name in ("socket", "pid-file", "log-file")]
    commands = [
        ["munged", "--foreground", "--force", f"--key-file={key}", f"--seed-file={folder}/seed", *munge],
        ["slurmctld", "-D", "-f", str(conf)],
        *(["slurmd", "-D", "-f", str(conf), "-N", node] for node in ("n1", "n2")),
    ]
    with ExitStack() as stack, open(folder / "said", "wb") as said:
        for name, *arguments in commands:
            process = subprocess.Popen([_program(name) or name, *arguments], env=environment, stdout=said, stderr=said)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            if name == "munged":
                eventually(lambda: (folder / "munge.socket").exists())
        eventually(lambda: _idle(environment) == ["idle", "idle"])
        yield conf


def eventually(true: Callable[[], object], tries: int = TRIES) -> None:
    """Return once something is so, looked at again and again; fails where it never is."""
    from threading import Event

    for _ in range(tries):
        if true():
            return
        Event().wait(0.5)
    raise AssertionError("it never came about")


def _idle(environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format", "%t"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.socket()) for _ in range(count)]
        for line in lines:
            line.bind(("127.0.0.1", 0))
        return [line.getsockname()[1] for line in lines]
