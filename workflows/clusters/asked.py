"""What a user asks for a job: options common to all kinds of cluster, and those of each."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ValidationError, field_validator

from workflows.settings.errors import SettingsError, explain
from workflows.settings.fields import COUNT, Count, Natural, Section, key

TIME = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")
MEMORY = re.compile(r"(\d+)([MGT])i?B?", re.IGNORECASE)
MEGABYTES = {"M": 1, "G": 1024, "T": 1024 * 1024}
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def _seeds(value: Any) -> Any:
    """Seeds as 1-8, 1,2,5 or both; a list stays one."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, (list, range)) else value
    found: list[int] = []
    for part in value.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            return value
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


Seeds = Annotated[tuple[Natural, ...], BeforeValidator(_seeds)]


class AnyJob(Section):
    """What is asked of any cluster."""

    kind: ClassVar[str]

    nodes: Count = key(1, COUNT, "machines")
    cpus: Count | None = key(None, COUNT, "CPUs of each, a worker each; default: one for every superchain, dealt out")
    gpus: Natural = key(0, "0", "GPUs of each")
    memory: str | None = key(None, "a number with M, G or T, as in 16G", "memory of each")
    name: str | None = key(None, "lower-case letters, digits and dashes", "of the job; default: that of CONFIG")
    seeds: Seeds = key((), "whole numbers as 1-8, 1,2,5 or both", "a run for each, in a store of its own")

    @field_validator("gpus")
    @classmethod
    def _none_yet(cls, gpus: int) -> int:
        if gpus:
            raise ValueError("workers are processes of one CPU each, and none would use it: leave it out")
        return gpus

    @field_validator("memory")
    @classmethod
    def _memory(cls, memory: str | None) -> str | None:
        if memory is not None and not MEMORY.fullmatch(memory):
            raise ValueError("allowed: a number with M, G or T, as in 16G")
        return memory

    @field_validator("name")
    @classmethod
    def _name(cls, name: str | None) -> str | None:
        if name is not None and not (NAME.fullmatch(name) and len(name) <= 40):
            raise ValueError("allowed: up to 40 lower-case letters, digits and dashes, a letter or digit at both ends")
        return name

    @property
    def megabytes(self) -> int | None:
        """The memory of a node in MiB; None where none was asked for."""
        found = MEMORY.fullmatch(self.memory or "")
        return int(found[1]) * MEGABYTES[found[2].upper()] if found else None


class SlurmJob(AnyJob):
    """What is asked of SLURM."""

    kind: ClassVar[str] = "slurm"

    time: str | None = key(
        None, "H:MM, H:MM:SS or D-HH:MM", "walltime of one sitting; the job is queued again after it"
    )
    partition: str | None = key(None, "a partition that sinfo lists", "where it runs")
    account: str | None = key(None, "an account", "who pays")
    notice: Count = key(
        120, "seconds from 1, at least a minute less than the time", "how long before the end it stops to commit"
    )
    directives: tuple[str, ...] = key((), "lines as --qos=high", "further directives for sbatch, as they are")

    @field_validator("time")
    @classmethod
    def _time(cls, time: str | None) -> str | None:
        """SLURM reads 1:30 as minutes and seconds: seconds are added, so that it is what it says here."""
        if time is None:
            return time
        found = TIME.fullmatch(time)
        if found is None:
            raise ValueError("allowed: H:MM, H:MM:SS or D-HH:MM")
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return f"{days}-{hours:02d}:{minutes:02d}:{seconds:02d}"

    @field_validator("notice")
    @classmethod
    def _notice(cls, notice: int, info: Any) -> int:
        time = info.data.get("time")
        if time is not None and _seconds(time) < notice + 60:
            raise ValueError(
                f"allowed: at least a minute less than the time of {_seconds(time)} seconds, as SLURM may send its "
                "notice a minute early"
            )
        return notice

    @field_validator("directives", mode="before")
    @classmethod
    def _directives(cls, lines: Any) -> Any:
        for line in lines:
            if not str(line).startswith("-") or "\n" in str(line):
                raise ValueError(f"{line!r} is no directive: allowed are lines as --qos=high")
        return tuple(lines)


class KubernetesJob(AnyJob):
    """What is asked of Kubernetes with the KubeRay operator."""

    kind: ClassVar[str] = "kubernetes"

    image: str | None = key(
        None, "the name of an image that the nodes can pull", "the program in a container; required"
    )
    claim: str | None = key(None, "the name of a PersistentVolumeClaim", "where the store lies; required")
    mount: str = key("/store", "an absolute path", "where the claim is mounted in the containers")
    namespace: str | None = key(None, "a namespace", "of the job; default: that of kubectl's context")
    retries: Natural = key(6, "a whole number from 0", "how often a lost head starts again")
    user: Count = key(1000, "a user's number from 1", "who runs the containers: never root")

    @field_validator("image", "claim")
    @classmethod
    def _required(cls, value: str | None) -> str:
        if not value:
            raise ValueError("it must be given")
        return value

    @field_validator("mount")
    @classmethod
    def _absolute(cls, mount: str) -> str:
        if not mount.startswith("/") or mount == "/":
            raise ValueError("allowed: an absolute path below /")
        return mount.rstrip("/")


class RayJob(AnyJob):
    """What is asked of a Ray cluster that runs already."""

    kind: ClassVar[str] = "ray"

    address: str | None = key(
        None, "http://host:port of the dashboard", "the cluster; default: RAY_API_SERVER_ADDRESS of the environment"
    )


KINDS: dict[str, type[AnyJob]] = {kind.kind: kind for kind in (SlurmJob, KubernetesJob, RayJob)}


def asked(on: str, options: dict[str, Any]) -> AnyJob:
    """What was asked for, checked. Raises SettingsError with everything that is wrong."""
    if on not in KINDS:
        raise SettingsError("the job", [f"on: given {on!r}; allowed: {', '.join(KINDS)}"])
    try:
        return KINDS[on].model_validate(options)
    except ValidationError as error:
        raise SettingsError(f"the options of a job on {on}", explain(KINDS[on], options, error)) from None


def _seconds(time: str) -> int:
    days, _, rest = time.partition("-")
    hours, minutes, seconds = map(int, rest.split(":"))
    return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
