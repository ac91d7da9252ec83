"""A notebook, executed: a model in a cell, progress below the next, ArviZ, more of it, and the stop button."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[3]
CELLS = (
    """
import arviz as az, numpy as np, numpyro, numpyro.distributions as dist
import maxwell

y = np.random.default_rng(0).normal(3.0, 1.0, 50)

def model(y):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    numpyro.sample("y", dist.Normal(mu, 1), obs=y)
""",
    """
run = maxwell.sample(model, {"y": y}, goals={"ess": 100, "shared_ess": 100, "draws": 8}, ensemble={"replicas": 16})
run
""",
    "az.summary(run.data)",
    """
before = run.summary()["draws"]
run = run.resume(goals={"draws": 2 * before})
run.data["posterior"].sizes["draw"] >= 2 * before, run.summary()["goals_met"]["draws"]
""",
    """
import os, signal
from workflows.results.progress import make_progress

class StopButton(type(make_progress())):
    def update(self, status):
        super().update(status)
        if status.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

stopped = maxwell.sample(model, {"y": y}, progress=StopButton(display), ensemble={"replicas": 16})
[stopped.is_temporary, stopped.summary()["sweeps"] > 0, any(stopped.summary()["goals_met"].values())]
""",
    "all(stopped.resume(goals={'ess': 100, 'shared_ess': 100, 'draws': 8}).summary()['goals_met'].values())",
)


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """The outputs of every cell."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    client = NotebookClient(notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()
    return [cell["outputs"] for cell in notebook["cells"]]


def result(outputs: list[Any]) -> dict[str, str]:
    """What the last expression of a cell showed, by MIME type."""
    (shown,) = (output for output in outputs if output["output_type"] == "execute_result")
    return dict(shown["data"])


def progress(outputs: list[Any]) -> str:
    """The one output of a cell that changed in place, as it was left; nothing was written to the streams."""
    assert [output for output in outputs if output["output_type"] == "stream"] == []
    (shown,) = (output for output in outputs if output["output_type"] == "display_data")
    assert shown["data"]["text/html"].startswith("<pre>")
    return str(shown["data"]["text/plain"])


@pytest.mark.slow
def test_a_notebook(executed: list[list[Any]]) -> None:
    _, sampled, summary, more, stopped, gone_on = executed
    lines = progress(sampled).splitlines()
    assert [line.split(":")[0] for line in lines if "round" in line] == ["scout", "equilibrate", "sample"]
    assert "maxwell.Run" in result(sampled)["text/html"]
    assert "all met" in result(sampled)["text/plain"]
    assert "mu" in result(summary)["text/html"]
    assert result(more)["text/plain"] == "(True, True)"
    assert [line.split(":")[0] for line in progress(more).splitlines() if "round" in line] == ["sample"]
    assert "Interrupted: what was sampled so far is in the run that was returned" in progress(stopped)
    assert result(stopped)["text/plain"] == "[True, True, False]"
    assert result(gone_on)["text/plain"] == "True"
