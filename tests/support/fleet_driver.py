"""A driver for test_ray_clusters: two fleets one after another in a process that has used JAX.

Arguments: a folder for the runner. Writes one line of JSON about the second fleet, which it leaves open,
waits for a line and kills itself.
"""

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from ensemble.fleet.ray_fleet import RayFleet
from ensemble.protocol.plans import RoundPlan, RunnerSpec
from ensemble.protocol.stages import SCOUT


def main(folder: str) -> None:
    warnings.simplefilter("error")  # JAX warns of every fork once it has been used
    total = float(jnp.ones(3).sum())
    spec = RunnerSpec("tests.support.fake_runner:build", {"folder": folder}, np.ones(3))
    plan = RoundPlan(0, SCOUT, 0, 1, {"scale": np.array(total)})
    sums = []
    for _ in range(2):
        fleet = RayFleet(spec, 2, 1)
        fleet.initialise()
        sums.append([float(report.statistics.term_means["sum"]) for report in fleet.run(plan)])
        facts = {"pids": fleet.pids(), "mode": os.environ["RAY_AUTH_MODE"], "token": os.environ["RAY_AUTH_TOKEN_PATH"]}
        if len(sums) == 1:
            fleet.close()
    facts["cleared"] = not Path(folder, "..", "home", ".ray").exists()
    holder = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    sys.stdout.write(json.dumps(facts | {"sums": sums, "holder": [int(pid) for pid in holder]}) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
