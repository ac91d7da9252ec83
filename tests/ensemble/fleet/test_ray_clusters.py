"""Ray fleets that start, share and lose clusters: a private one whose driver is killed, and one on machines that go."""

import json
import os
import select
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ray.cluster_utils import Cluster

from ensemble.fleet.local import LocalFleet
from ensemble.fleet.ray_fleet import RayFleet
from ensemble.protocol.plans import RoundPlan, RunnerSpec
from ensemble.protocol.stages import SCOUT

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[3]


def has_ended(process: int) -> bool:
    """Whether the process behind a descriptor of os.pidfd_open ends within a minute; closes the descriptor."""
    ready, _, _ = select.select([process], [], [], 60.0)
    os.close(process)
    return bool(ready)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux, to wait for processes of others")
def test_two_fleets_after_jax_with_a_private_token_and_nothing_left_of_a_killed_driver(tmp_path: Path) -> None:
    (tmp_path / "markers").mkdir()
    (tmp_path / "home").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "tests.support.fleet_driver", str(tmp_path / "markers")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=tmp_path) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        facts = json.loads(driver.stdout.readline())
        token = Path(facts["token"])
        assert facts["mode"] == "token"
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
        assert facts["cleared"]
        assert facts["sums"][0] == facts["sums"][1]
        processes = [os.pidfd_open(pid) for pid in [*facts["pids"], *facts["holder"]]]
        assert len(processes) == 2
        driver.stdin.write("\n")
        driver.stdin.flush()
        driver.wait()
    assert all([has_ended(process) for process in processes])
    assert not token.parent.exists()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Two machines of one core each, played by processes; the loss of one is noticed after a second."""
    settings = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": settings})
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_a_lost_machine_leaves_its_shards_to_the_others(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner is a module in the current folder only: it reaches the machines with the code that is shipped."""
    shutil.copy(ROOT / "tests" / "support" / "fake_runner.py", tmp_path / "runner_of_the_user.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = RunnerSpec("runner_of_the_user:build", {"folder": str(tmp_path)}, np.ones(3))
    plans = [RoundPlan(epoch, SCOUT, epoch, 1, {"scale": np.array(0.3)}) for epoch in range(2)]
    local = LocalFleet(spec, 4)
    local.initialise()
    second = cluster.add_node(num_cpus=1)
    with RayFleet(spec, 4, 2, cluster.address) as fleet:
        fleet.initialise()
        sums = [[report.statistics.term_means["sum"] for report in fleet.run(plans[0])]]
        fleet.patience = 1.0
        cluster.remove_node(second, allow_graceful=False)
        sums.append([report.statistics.term_means["sum"] for report in fleet.run(plans[1])])
        assert len(fleet.pids()) == 1
    assert sums == [[report.statistics.term_means["sum"] for report in local.run(plan)] for plan in plans]
