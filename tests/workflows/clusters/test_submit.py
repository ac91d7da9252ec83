"""Jobs before they are handed over: scripts, manifests and commands, and whatever is wrong with them."""

import gzip
import itertools
import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import maxwell
from ensemble.store import opening as stores
from tests.support.runs import config, stopped_run
from workflows.cli.main import main
from workflows.clusters import record
from workflows.clusters.asked import asked

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with a config, and no scheduler on the PATH."""
    config(tmp_path)
    monkeypatch.chdir(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return tmp_path


def plain(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def fake(here: Path, name: str, says: str, status: int = 0) -> Path:
    """A program that keeps its arguments, says something and ends; where the arguments are kept."""
    kept = here / f"{name}.arguments"
    plain(here / "bin" / name, f'#!/bin/sh\necho "$@" >> "{kept}"\necho "{says}"\nexit {status}\n')
    return kept


def submitted(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["submit", *arguments]) == 0
    return capsys.readouterr().out


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["submit", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def directives(script: str) -> dict[str, str]:
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH --")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_a_dry_run_writes_nothing_and_needs_no_scheduler(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(here.rglob("*"))
    script = submitted("small.yaml", "--on", "slurm", "--dry-run", capsys=capsys)
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    assert sorted(here.rglob("*")) == before


def test_a_script_asks_slurm_for_what_the_user_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--nodes 2 --cpus 2 --time 1:30 --memory 8G --partition long --account lab --notice 300 --name mine"
    own = ["--directive=--qos=high", "--directive=--constraint=avx2"]
    script = submitted("small.yaml", "--on", "slurm", *options.split(), *own, "--dry-run", capsys=capsys)
    found = directives(script)
    assert (
        found.items()
        >= {
            "nodes": "2",
            "ntasks-per-node": "1",
            "cpus-per-task": "2",
            "time": "0-01:30:00",
            "mem": "8192M",
            "partition": "long",
            "account": "lab",
            "signal": "B:USR1@300",
            "job-name": "mine",
            "qos": "high",
            "constraint": "avx2",
            "requeue": "",
            "open-mode": "append",
        }.items()
    )
    assert found["output"] == f"{here}/runs/small.zarr.job/slurm-%j.log"
    assert "ensemble.workers=2" in script  # as the config says
    assert subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_what_was_not_asked_for_is_left_to_the_site(capsys: pytest.CaptureFixture[str]) -> None:
    """Some refuse --mem; most have partitions, accounts and times of their own."""
    found = directives(submitted("small.yaml", "--on", "slurm", "--dry-run", capsys=capsys))
    assert not {"mem", "time", "partition", "account", "array", "gpus-per-node"} & set(found)


def test_workers_are_as_many_as_there_are_places_and_superchains(capsys: pytest.CaptureFixture[str]) -> None:
    for nodes, cpus, auto, expected in [(1, 2, True, 2), (2, 8, True, 4), (3, 1, True, 3), (1, 8, False, 2)]:
        more = ["ensemble.workers=auto"] if auto else []
        options = ["--nodes", str(nodes), "--cpus", str(cpus), *more]
        script = submitted("small.yaml", "--on", "slurm", "--dry-run", *options, capsys=capsys)
        assert f"ensemble.workers={expected} " in script
        assert "--local" not in script
    script = submitted("small.yaml", "--on", "slurm", "--cpus", "1", "--dry-run", "ensemble.workers=1", capsys=capsys)
    assert "--local" in script


def test_a_job_keeps_the_settings_of_the_moment_and_its_number(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = fake(here, "sbatch", "4711;cluster")
    out = submitted("small.yaml", "--on", "slurm", "goals.ess=12", "--out", "a b.zarr", capsys=capsys)
    store = here / "a b.zarr"
    assert f"Submitted as slurm 4711, to {store}" in out
    folder = record.job_folder(store)
    assert kept.read_text().split(" ", 1)[1].strip() == str(folder / "job.sh")
    assert yaml.safe_load((folder / "small.yaml").read_text())["goals"]["ess"] == 12
    assert maxwell.run(folder / "small.yaml", out=here / "x.zarr", local=True, progress=False).attributes["seed"] == 0
    job = record.last_job(store)
    assert job is not None
    assert (job.kind, job.id, job.store) == ("slurm", "4711", store)


def test_seeds_are_a_job_array_with_a_store_each(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake(here, "sbatch", "7")
    submitted("small.yaml", "--on", "slurm", "--seeds", "1-3,8", capsys=capsys)
    script = (here / "runs" / "small.zarr.job" / "job.sh").read_text()
    assert directives(script)["array"] == "1,2,3,8"
    assert directives(script)["output"].endswith("slurm-%A_%a.log")
    assert "small-seed$SLURM_ARRAY_TASK_ID.zarr" in script
    assert '"seed=$SLURM_ARRAY_TASK_ID"' in script
    job = record.last_job(here / "runs" / "small-seed8.zarr")
    assert job is not None
    assert job.id == "7_8"


def test_from_python_it_is_the_same(here: Path) -> None:
    fake(here, "sbatch", "9")
    done = maxwell.submit("small.yaml", {"goals.ess": 7}, on="slurm", nodes=2, cpus=1, seeds=[4, 5])
    assert [job.id for job in done.jobs] == ["9_4", "9_5"]
    dry = maxwell.submit("small.yaml", on="slurm", out="other.zarr", dry_run=True)
    assert dry.jobs == ()
    assert "#SBATCH --nodes=1" in str(dry)
    with pytest.raises(maxwell.MaxwellError, match="on: given 'pbs'; allowed: slurm, kubernetes, ray"):
        maxwell.submit("small.yaml", on="pbs")


@pytest.mark.parametrize("program", ["sbatch", "kubectl"])
def test_without_a_scheduler_nothing_is_written(program: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["slurm"] if program == "sbatch" else ["kubernetes", "--image", "i", "--claim", "c"]
    assert f"there is no {program} on the PATH" in refused("small.yaml", "--on", *where, capsys=capsys)
    assert not (here / "runs").exists()


def test_what_the_scheduler_refuses_is_told_in_its_words(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake(here, "sbatch", "invalid partition specified: longg", 1)
    err = refused("small.yaml", "--on", "slurm", "--partition", "longg", capsys=capsys)
    assert "sbatch refused the job: invalid partition specified: longg" in err
    assert record.last_job(here / "runs" / "small.zarr") is None


def test_all_that_is_wrong_with_options_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--nodes",
        "0",
        "--time",
        "90",
        "--memory",
        "3",
        "--seeds",
        "x",
        "--name",
        "A_b",
        "--gpus",
        "1",
        "--directive",
        "qos",
    ]
    err = refused("small.yaml", "--on", "slurm", *options, capsys=capsys)
    assert "7 problems" in err
    for name in ("nodes", "time", "memory", "seeds", "name", "gpus", "directives"):
        assert f"  - {name} (" in err
    err = refused("small.yaml", "--on", "kubernetes", "--partition", "long", capsys=capsys)
    for part in ("image (", "claim (", "partition: unknown key"):
        assert part in err


def test_all_that_is_wrong_with_the_job_is_said_at_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["ensemble.address=auto", "ensemble.workers=4", "model.name=nosuch"]
    options = ["--nodes", "1", "--cpus", "2", "--memory", "1G"]
    err = refused("small.yaml", "--on", "slurm", *options, *wrong, "--out", "small.yaml", capsys=capsys)
    for part in ("ensemble.address: given auto", "4 workers have no place on 2 CPUs", "nosuch", "memory: given 1G"):
        assert part in err
    assert "small.yaml exists already" in err
    err = refused("small.yaml", "--on", "slurm", "--nodes", "5", "--cpus", "1", capsys=capsys)
    assert "nodes: given 5, but there are 4 superchains to carry" in err


def test_a_time_too_short_for_its_notice_is_refused() -> None:
    with pytest.raises(maxwell.MaxwellError, match="at least a minute less than the time of 120 seconds"):
        asked("slurm", {"time": "0:02", "notice": 61})
    assert asked("slurm", {"time": "0:02", "notice": 60})


def test_a_run_that_is_there_is_gone_on_with_unless_it_is_another_or_at_work(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stopped_run(here, sweeps=19)
    arguments = ["small.yaml", "--on", "slurm", "--out", str(store), "--dry-run"]
    submitted(*arguments, capsys=capsys)
    assert "seed: the run has 0, now 5" in refused(*arguments, "seed=5", capsys=capsys)
    with stores.reopen(store):
        assert f"is being written by process {os.getpid()}" in refused(*arguments, capsys=capsys)
    fake(here, "squeue", "PENDING")
    record.record(record.submitted_now("slurm", "17", store))
    assert "slurm 17 is queued or at work already" in refused(*arguments, capsys=capsys)
    fake(here, "squeue", "")
    submitted(*arguments, capsys=capsys)


def schema() -> dict[str, Any]:
    """What the KubeRay operator lets through as a RayJob."""
    with gzip.open(DATA / "ray.io_rayjobs.yaml.gz", "rt") as file:
        definition = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = (one for one in definition["spec"]["versions"] if one["name"] == "v1")
    return closed(version["schema"]["openAPIV3Schema"])


def closed(node: Any) -> Any:
    """The schema with unknown fields refused, which Kubernetes would drop without a word, and its integer-or-text."""
    if not isinstance(node, dict):
        return [closed(one) for one in node] if isinstance(node, list) else node
    found = {key: closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object" and "additionalProperties" not in node:
        # metadata is Kubernetes' own, and described elsewhere.
        found["additionalProperties"] = not node["properties"]
    return found


KUBERNETES = ["small.yaml", "--on", "kubernetes", "--image", "registry/maxwell:0.1", "--claim", "draws"]


def test_a_manifest_is_what_kuberay_takes(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--nodes", "2", "--cpus", "2", "--memory", "6G", "--namespace", "lab", "--seeds", "1-2", "--dry-run"]
    documents = list(yaml.safe_load_all(submitted(*KUBERNETES, *options, capsys=capsys)))
    assert [one["kind"] for one in documents] == ["ConfigMap", "RayJob"] * 2
    allowed = schema()
    for job in documents[1::2]:
        jsonschema.Draft202012Validator(allowed).validate(job)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**job, "spec": {**job["spec"], "backofflimit": 1}}, allowed)
    assert [yaml.safe_load(one["data"]["small.yaml"])["seed"] for one in documents[::2]] == [1, 2]
    assert [one["spec"]["entrypoint"].split()[-1] for one in documents[1::2]] == [
        "/store/small-seed1.zarr",
        "/store/small-seed2.zarr",
    ]
    assert {one["metadata"]["namespace"] for one in documents} == {"lab"}
    assert len({one["metadata"]["name"] for one in documents}) == 2


def test_no_pod_runs_as_root_and_a_lost_head_starts_again(capsys: pytest.CaptureFixture[str]) -> None:
    _, job = yaml.safe_load_all(submitted(*KUBERNETES, "--dry-run", capsys=capsys))
    spec = job["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["backoffLimit"] == 6
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    pods = [spec["submitterPodTemplate"]["spec"], head["template"]["spec"], workers["template"]["spec"]]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        for container in pod["containers"]:
            assert container["image"] == "registry/maxwell:0.1"
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["resources"]["requests"] == container["resources"]["limits"]
    assert head["rayStartParams"] == {"num-cpus": "0"}
    assert "--go-on" in spec["entrypoint"]
    assert "ensemble.address=auto" in spec["entrypoint"]


def test_a_store_outside_the_claim_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(*KUBERNETES, "--out", "/data/x.zarr", capsys=capsys)
    assert "does not lie on the claim, mounted at /store" in err


def test_a_manifest_is_tried_before_it_is_sent(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = fake(here, "kubectl", "created")
    out = submitted(*KUBERNETES, "--namespace", "lab", capsys=capsys)
    trial, real = kept.read_text().splitlines()
    assert "--dry-run=server" in trial
    assert "--dry-run" not in real
    assert "kubectl logs --follow --namespace lab job/small-" in out
    assert record.find_job(out.split()[3].rstrip(","), here) is not None


def test_a_ray_job_takes_its_settings_and_this_program_along(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["small.yaml", "--on", "ray", "--address", "http://head:8265", "--out", "/data/a b.zarr"]
    (line,) = submitted(*arguments, "--cpus", "2", "--dry-run", capsys=capsys).splitlines()
    command = shlex.split(line)
    assert command[:5] == ["ray", "job", "submit", "--address", "http://head:8265"]
    assert command[command.index("--") + 1 :] == [
        *("python", "-m", "workflows.cli", "run", "small.yaml", "--go-on"),
        *("ensemble.workers=2", "ensemble.address=auto", "--out", "/data/a b.zarr"),
    ]
    assert json.loads(command[command.index("--runtime-env-json") + 1])["env_vars"]["PJRT_NPROC"] == "1"
    (here / "data.bin").write_bytes(b"0" * 1000)
    (here / "runs").mkdir()
    (here / "runs" / "large").write_bytes(b"0" * 1000)
    plain(here / "look", '#!/bin/sh\nwhile [ "$1" != --working-dir ]; do shift; done\ncd "$2" && find . -maxdepth 2\n')
    monkeypatch.setattr("workflows.clusters.ray_jobs._ray", lambda: str(here / "look"))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/bin:/bin")
    seen: list[str] = []
    from workflows.clusters import programs, ray_jobs

    monkeypatch.setattr(ray_jobs, "_require_dashboard", lambda _: None)
    monkeypatch.setattr(ray_jobs, "answer", lambda command: seen.extend(programs.answer(command).split()))
    submitted(*arguments, capsys=capsys)
    assert {"./small.yaml", "./workflows/cli", "./kernels", "./maxwell.py", "./data.bin"} <= set(seen)
    assert not any("large" in name for name in seen)


def test_a_ray_job_says_what_is_missing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    assert "out: name an absolute path" in refused("small.yaml", "--on", "ray", capsys=capsys)
    arguments = ["small.yaml", "--on", "ray", "--out", "/data/x.zarr"]
    assert "RAY_API_SERVER_ADDRESS is not set" in refused(*arguments, capsys=capsys)
    assert "given 'head:8265'" in refused(*arguments, "--address", "head:8265", capsys=capsys)
    monkeypatch.setattr("workflows.clusters.ray_jobs._ray", lambda: "ray")
    err = refused(*arguments, "--address", "http://127.0.0.1:1", capsys=capsys)
    assert "no dashboard of a Ray cluster answers at http://127.0.0.1:1 ([Errno 111] Connection refused)" in err
    monkeypatch.setattr("workflows.clusters.ray_jobs._require_dashboard", lambda _: None)
    monkeypatch.setattr("workflows.clusters.ray_jobs.MEGABYTES", 0)
    err = refused(*arguments, "--address", "http://127.0.0.1:1", capsys=capsys)
    assert "more than the 0 MB that are sent" in err


def test_options_of_python_and_shell_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    from workflows.clusters.asked import KINDS

    with pytest.raises(SystemExit):
        main(["submit", "--help"])
    told = capsys.readouterr().out
    names = set(itertools.chain.from_iterable(kind.model_fields for kind in KINDS.values()))
    assert {f"--{name.removesuffix('s') if name == 'directives' else name} " for name in names} <= {
        f"{word} " for word in told.split()
    }
