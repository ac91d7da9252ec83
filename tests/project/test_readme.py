"""The README's own model runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from maxwell import open_run

README = Path(__file__).resolve().parents[2] / "README.md"


def example() -> str:
    """The code block that defines a user's model."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    (code,) = [block for block in blocks if "maxwell.sample" in block]
    return code


def test_the_users_model_runs(tmp_path: Path) -> None:
    code, call = example(), "seed=1)"
    assert call in code
    # In this process and with small goals, to keep the test short; to a store, to be looked at.
    options = 'local=True, out="clinics.zarr", goals={"ess": 50, "shared_ess": 50, "draws": 8}'
    (tmp_path / "script.py").write_text(code.replace(call, f"seed=1, {options})"))
    environment = {**os.environ, "PYTHONPATH": str(README.parent)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, check=True, capture_output=True, text=True, env=environment
    )
    assert re.search(r"^mu +\d", done.stdout, flags=re.MULTILINE)
    run = open_run(tmp_path / "clinics.zarr")
    posterior = run.data["posterior"]
    assert posterior["effect"].dims == ("chain", "draw", "clinic")
    assert posterior.sizes["clinic"] == 1000
    assert all(run.summary()["goals_met"].values())
    # y has sd 1.5 against the model's 1: the clinics' means vary with 1.5 / sqrt(20) = .34 about 1.
    assert abs(float(posterior["mu"].mean()) - 1.0) < 0.1
    assert run.diagnostics()["effect_ess"].dims == ("clinic",)
