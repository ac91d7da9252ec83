"""Does tempering in `equilibrate` shorten the way to equilibrium on the airway model? Both ways side by side.

    python -m workflows.studies.trials.tempering            (prints one row a setting)

For each setting, in this process: sweeps until the freeze, kernel seconds of the run (which ends soon after), and the
mean log density of the last rounds before it, which must agree.
"""

import tempfile
from pathlib import Path

import numpy as np

from ensemble.protocol.progress import NullProgress, Status
from workflows.sampling.sample import sample
from workflows.settings.loading import load_settings

SETTINGS = {"one temperature": "[1.0]", "T = 1 and 2": "[1.0, 2.0]", "T = 1 and 3.5": "[1.0, 3.5]"}
SEEDS = (0, 1)


class Watch(NullProgress):
    """Keeps what `equilibrate` showed."""

    def __init__(self) -> None:
        self.rounds: list[Status] = []

    def update(self, status: Status) -> None:
        if status.stage == "equilibrate":
            self.rounds.append(status)


def main() -> None:
    """Print the table."""
    print(f"{'setting':<18}{'seed':>5}{'sweeps':>8}{'kernel s':>10}{'log density':>14}{'swaps':>8}")
    for name, temperatures in SETTINGS.items():
        for seed in SEEDS:
            watch = Watch()
            overrides = [f"tempering.temperatures={temperatures}", f"seed={seed}", "limits.sweeps=2000"]
            goals = ["goals.ess=1", "goals.shared_ess=1", "goals.rhat=10", "goals.shared_rhat=10", "goals.draws=4"]
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "trial.zarr"
                chosen = load_settings(Path("configs/airway_small.yaml"), overrides + goals)
                found = sample(chosen, out, local=True, progress=watch).summary()
            last = watch.rounds[-1]
            kernel = found["kernel_seconds"]
            lp = np.mean([status.lp_mean for status in watch.rounds[-5:]])
            swaps = "-" if not last.swap_rates else f"{next(iter(last.swap_rates.values())):.2f}"
            print(f"{name:<18}{seed:>5}{last.sweeps:>8}{kernel:>10.1f}{lp:>14,.1f}{swaps:>8}", flush=True)


if __name__ == "__main__":
    main()
