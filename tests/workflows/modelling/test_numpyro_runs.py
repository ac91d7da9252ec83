"""Models of other people's kinds from the first start to the exported file and the report."""

import numpy as np
import pytest

from ensemble.store.arviz_object import group_names
from maxwell import run
from workflows.cli.main import main

SETTINGS = {
    "ensemble": {"replicas": 8, "superchains": 2},
    "round": {"sweeps": 2},
    "scout": {"max_rounds": 2},
    "equilibrate": {"max_rounds": 3, "refine_rounds": 2},
    "sample": {"burn_rounds": 1},
    "goals": {"draws": 4},
    "limits": {"sweeps": 40},
}
GROUPS = {
    "factor_alone": {"posterior": {"mu": ()}, "prior": {"mu": ()}},
    "scoped": {
        "posterior": {"a.x": ("a.n",), "b.x": ("b.n",), "b.twice": ()},
        "log_likelihood": {"y": ("y_dim_0",)},
        "posterior_predictive": {"y": ("y_dim_0",)},
    },
    "odd_plate_names": {"posterior": {"x": ("c.d", "a.b")}},
    "time_series": {"posterior": {"sigma": (), "x": ("time",), "level": ("time",)}},
    "fixed": {"posterior": {"mu": (), "sd": (), "shift": ("row",)}, "prior": {"mu": (), "sd": (), "shift": ("row",)}},
    "mixture": {
        "posterior": {"mu": ("mu_dim_0",)},
        "predictions": {"z": ("row",)},
        "log_likelihood": {"y": ("row",)},
        "posterior_predictive": {"y": ("row",)},
    },
}


QUICK = ("factor_alone",)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in GROUPS]
)
def test_a_run_is_exported_and_reported(name, tmp_path, capsys) -> None:
    if name == "mixture":
        pytest.importorskip("funsor")
    store = tmp_path / "run.zarr"
    model = {"name": f"tests.support.models.numpyro_runs:{name}"}
    finished = run({"model": model, **SETTINGS}, out=store, local=True, progress=False)
    exported = finished.export(draws=3, prior=3)
    for group, variables in GROUPS[name].items():
        dims = {variable: x.dims[2:] for variable, x in exported[group].data_vars.items()}
        assert dims == variables
        assert all(np.isfinite(x).all() for x in exported[group].data_vars.values())
    if name == "factor_alone":
        assert not {"log_likelihood", "posterior_predictive", "prior_predictive"} & set(group_names(exported))
    assert main(["report", str(store), "--out", str(tmp_path / "report.html")]) == 0
    assert (tmp_path / "report.html").stat().st_size > 0
