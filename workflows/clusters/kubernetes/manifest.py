"""The manifest of a job: its settings as a ConfigMap, and a RayJob of the KubeRay operator that carries it out."""

import math
import shlex
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from workflows.clusters.asked import KubernetesJob
from workflows.clusters.plan import RAY_MEGABYTES, Plan, command_line, settings_text

CONFIG_FOLDER = "/etc/maxwell"
HEAD_CPUS, HEAD_MEGABYTES = 1, 4096
"""What the head asks for, which carries the coordinator and no workers."""
WORKER_MEGABYTES = 1024
"""What is asked for a worker where the user does not say."""
KEPT_SECONDS = 600
"""How long the pods stay after the end, for their logs."""
Document = dict[str, Any]


def documents(plan: Plan, job: KubernetesJob, name: str) -> list[Document]:
    """The ConfigMap and the RayJob of one run, both called `name`."""
    labels = {"app.kubernetes.io/name": "maxwell", "app.kubernetes.io/instance": name}
    where = {"namespace": job.namespace} if job.namespace else {}
    config: Document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels, **where},
        "data": {plan.config.name: settings_text(plan)},
    }
    ray_job: Document = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "labels": labels, **where},
        "spec": _spec(plan, job, name),
    }
    return [config, ray_job]


def text(found: list[Document]) -> str:
    """Documents as YAML."""
    return yaml.dump_all(found, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.SafeDumper):
    """YAML as people write it: no anchors, and text of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, value: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _Plain.represent_text)


def _spec(plan: Plan, job: KubernetesJob, name: str) -> Document:
    inside = plan._replace(folder=Path(CONFIG_FOLDER))
    entry = command_line(inside, shlex.quote(str(plan.store)), "ensemble.address=auto")
    return {
        "entrypoint": f"maxwell {entry}",
        # A head that is lost takes the job with it: a new cluster is made, and the run goes on from its last commit.
        "backoffLimit": job.retries,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "submissionMode": "K8sJobMode",
        "submitterPodTemplate": {
            "spec": {
                "restartPolicy": "Never",
                "securityContext": _pod_security(job),
                "containers": [
                    {
                        "name": "ray-job-submitter",
                        "image": job.image,
                        "resources": _resources(1, RAY_MEGABYTES),
                        "securityContext": CONTAINER_SECURITY,
                    }
                ],
            }
        },
        "rayClusterSpec": {
            "rayVersion": metadata.version("ray"),
            # The operator makes a Secret with a token, and gives it to every container.
            "authOptions": {"mode": "token"},
            "headGroupSpec": {
                # No workers on the head: it is the one pod that must not run out of memory.
                "rayStartParams": {"num-cpus": "0"},
                "template": {"spec": _head(plan, job, name)},
            },
            "workerGroupSpecs": [
                {
                    "groupName": "workers",
                    "replicas": job.nodes,
                    "minReplicas": job.nodes,
                    "maxReplicas": job.nodes,
                    "rayStartParams": {"num-cpus": str(plan.cpus)},
                    "template": {"spec": _workers(plan, job)},
                }
            ],
        },
    }


CONTAINER_SECURITY: Document = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


def _pod_security(job: KubernetesJob) -> Document:
    return {
        "runAsNonRoot": True,
        "runAsUser": job.user,
        "runAsGroup": job.user,
        "fsGroup": job.user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _head(plan: Plan, job: KubernetesJob, name: str) -> Document:
    """The head alone writes the store: a claim for one pod at a time suffices."""
    mounts = [
        {"name": "store", "mountPath": str(PurePosixPath(job.mount))},
        {"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True},
    ]
    volumes = [
        {"name": "store", "persistentVolumeClaim": {"claimName": job.claim}},
        {"name": "config", "configMap": {"name": name}},
    ]
    container = _container("ray-head", job, _resources(HEAD_CPUS, max(HEAD_MEGABYTES, job.megabytes or 0)))
    return {
        "securityContext": _pod_security(job),
        "containers": [{**container, "volumeMounts": mounts}],
        "volumes": volumes,
    }


def _workers(plan: Plan, job: KubernetesJob) -> Document:
    here = min(plan.cpus, math.ceil(plan.workers / job.nodes))
    resources = _resources(plan.cpus, job.megabytes or RAY_MEGABYTES + here * WORKER_MEGABYTES)
    return {"securityContext": _pod_security(job), "containers": [_container("ray-worker", job, resources)]}


def _container(name: str, job: KubernetesJob, resources: Document) -> Document:
    return {
        "name": name,
        "image": job.image,
        "env": [
            {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"},
            {"name": "PJRT_NPROC", "value": "1"},
            {"name": "OMP_NUM_THREADS", "value": "1"},
        ],
        "resources": resources,
        "securityContext": CONTAINER_SECURITY,
    }


def _resources(cpus: int, megabytes: int) -> Document:
    """The same as request and limit, so that nobody's pods are ended for the memory of others."""
    amount = {"cpu": str(cpus), "memory": f"{megabytes}Mi"}
    return {"requests": amount, "limits": dict(amount)}
