"""Settings of the ensemble: its replicas, superchains and workers."""

import os
from typing import Literal

from pydantic import field_validator
from pydantic_core.core_schema import ValidationInfo

from ensemble.fleet.cluster_address import parted
from workflows.settings.fields import COUNT, POSITIVE, Count, FromTwo, Positive, Section, key

HINTS = {
    "ray": ". Ray Client (ray://) is not used: run this on a machine of the cluster, or by ray job submit",
    "http": ". A dashboard's address is for ray job submit, which runs this on the cluster with auto",
    "https": ". A dashboard's address is for ray job submit, which runs this on the cluster with auto",
    "local": ". Leave it out to start one here",
}
"""What to do instead, by what an address that cannot be joined begins with."""


class EnsembleSettings(Section):
    """How many chains there are, and where they run."""

    replicas: Count = key(32, COUNT, "cold replicas, that is chains in all")
    superchains: FromTwo = key(
        8, "a whole number from 2 that divides ensemble.replicas", "groups of replicas with a common dispersed start"
    )
    workers: Literal["auto"] | Count = key(
        "auto", "auto or a whole number from 1, at most ensemble.superchains", "processes; auto: one a core"
    )
    address: str | None = key(
        None,
        "host:port of a Ray cluster's head, auto (the one that this machine knows of), or null",
        "the cluster; null: start one here",
    )
    start_seconds: Positive = key(
        600.0, POSITIVE, "seconds that a worker may take to start: more on busy machines and slow file systems"
    )

    @field_validator("superchains")
    @classmethod
    def _divides(cls, superchains: int, info: ValidationInfo) -> int:
        replicas = info.data.get("replicas", superchains)
        if replicas % superchains:
            divisors = ", ".join(str(n) for n in range(2, replicas + 1) if replicas % n == 0)
            raise ValueError(
                f"allowed: a divisor of ensemble.replicas ({replicas}) from 2, that is {divisors or 'none'}"
            )
        return superchains

    @field_validator("workers")
    @classmethod
    def _few(cls, workers: str | int, info: ValidationInfo) -> str | int:
        superchains = info.data.get("superchains")
        if isinstance(workers, int) and superchains is not None and workers > superchains:
            raise ValueError(
                f"allowed: auto or 1 to {superchains} (a worker carries one of ensemble.superchains at least)"
            )
        return workers

    @field_validator("address")
    @classmethod
    def _joins(cls, address: str | None) -> str | None:
        """Forms of address that can be joined; whether a Ray is there is asked when a run begins."""
        if address is None or address == "auto" or parted(address) is not None:
            return address
        scheme = address.partition("://")[0]
        hint = HINTS.get(scheme, "") if "://" in address or address == "local" else ""
        raise ValueError(f"allowed: host:port of a Ray cluster's head, auto, or null{hint}")

    def worker_count(self) -> int:
        """The workers asked for; for auto as many as this process has cores, at most one a superchain."""
        if isinstance(self.workers, int):
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, self.superchains)
