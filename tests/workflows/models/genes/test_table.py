"""The table of genes and its pictures: arithmetic against values worked out by hand, and a small run from files."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray

import maxwell
from tests.support.experiments import counts, sheet, symbols, write
from workflows.cli.main import main
from workflows.modelling.registry import build, entry_of
from workflows.models.genes import pictures
from workflows.models.genes.effects import Effects, effects_of
from workflows.models.genes.inputs.packaged import packaged
from workflows.models.genes.signs import Signs
from workflows.models.genes.table import as_frame, text
from workflows.results.report.facts import Facts
from workflows.results.report.page import page
from workflows.results.tables.write import TableError
from workflows.sampling.configuration import named_settings
from workflows.sampling.fleets import runner_spec
from workflows.settings.errors import SettingsError
from workflows.settings.loading import make_settings

LOG2 = math.log(2.0)
SETTINGS: dict[str, Any] = {
    "ensemble": {"replicas": 16, "superchains": 4, "workers": 1},
    "scout": {"kernel": "none"},
    "goals": {"ess": 20, "shared_ess": 20, "draws": 8},
    "limits": {"sweeps": 1500},
    "store": {"chains": "all"},
}


class NoChecks:
    """A reader of a store whose goals were never looked at."""

    def coordinator_state(self) -> None:
        return None


class Counted:
    """A reader of a store that has counted the effects' signs: shares of positive values [gene, coefficient]."""

    def __init__(self, positive: np.ndarray, states: int) -> None:
        self.arrays = {"diagnostics/positive/effect": positive, "diagnostics/states": np.asarray(states)}

    def coordinator_state(self) -> SimpleNamespace:
        return SimpleNamespace(arrays=self.arrays)

    def groups(self) -> dict[str, xarray.Dataset]:
        return stored()


def stored() -> dict[str, xarray.Dataset]:
    """Four draws of three genes with two effects, the second in question."""
    effect = np.zeros((2, 2, 3, 2))
    effect[..., 1] = LOG2 * np.array([[[2.0, -0.5, 0.1], [3.0, -0.5, -0.1]], [[2.0, -1.5, 0.1], [3.0, -1.5, 0.3]]])
    scale, freedom = np.full((2, 2, 2), 0.3), np.full((2, 2, 2), 3.0)
    dispersion = np.exp(np.array([[[0.0, 1.0, 2.0], [0.0, 3.0, 2.0]]] * 2))
    posterior = xarray.Dataset(
        {
            "effect": (("chain", "draw", "gene", "coefficient"), effect),
            "effect_sd": (("chain", "draw", "coefficient"), scale),
            "effect_df": (("chain", "draw", "coefficient"), freedom),
            "dispersion": (("chain", "draw", "gene"), dispersion),
        },
        {"gene": ["g0", "g1", "g2"], "coefficient": ["cell", "drug"]},
    )
    constant = xarray.Dataset(
        {
            "contrast": ("coefficient", [0.0, 1.0]),
            "threshold": ((), 1.0),
            "small": ((), 0.35),
            "size_factor": ("sample", [0.5, 2.0]),
            "symbol": ("gene", ["", "DUSP1", ""]),
            "covariates": (("sample", "coefficient"), [[0.0, 0.0], [0.0, 1.0]]),
        },
        {"coefficient": ["cell", "drug"]},
    )
    observed = xarray.Dataset({"counts": (("sample", "gene"), np.array([[5, 10, 0], [40, 20, 4]]))})
    return {"posterior": posterior, "constant_data": constant, "observed_data": observed}


def found(reader: NoChecks | Counted | None = None) -> Effects:
    return effects_of(reader or NoChecks(), stored())  # type: ignore[arg-type]


def test_numbers_against_hand_values() -> None:
    table = as_frame(found()).set_index("gene")
    assert list(table.index) == ["g0", "g1", "g2"]  # wrong 0, 0, 1 whatever a draw weighs; of the first two the larger
    np.testing.assert_allclose(table["log2_fold_change"], [2.5, -1.0, 0.1], rtol=1e-12)
    np.testing.assert_allclose(table["sd"], [math.sqrt(1 / 3), math.sqrt(1 / 3), math.sqrt(0.08 / 3)], rtol=1e-12)
    np.testing.assert_allclose(table["low"], [2.0, -1.5, -0.1 + 0.075 * 0.2], rtol=1e-12)
    np.testing.assert_allclose(table["high"], [3.0, -0.5, 0.3 - 0.075 * 0.2], rtol=1e-12)
    np.testing.assert_array_equal(table["false_sign_rate"], [0.0, 0.0, 0.25])
    np.testing.assert_array_equal(table["false_or_small"], [0.0, 0.0, 1.0])
    np.testing.assert_allclose(table["s_value"], [0.0, 0.0, 1.0 / 3], rtol=1e-12)
    np.testing.assert_array_equal(table["beyond"], [1.0, 0.5, 0.0])
    np.testing.assert_array_equal(table["mean_count"], [15.0, 15.0, 1.0])
    np.testing.assert_allclose(table["dispersion"], np.exp([0.0, 2.0, 2.0]), rtol=1e-12)
    assert table["ess"].isna().all()
    assert list(table["symbol"]) == ["", "DUSP1", ""]


def test_print_says_what_is_resolved_and_how_many_change() -> None:
    lines = text(found())
    assert lines[0] == (
        "2 of 3 genes change with drug by more than 0.35 (log2), 5% of them expected to be called wrongly: "
        "1 up, 1 down."
    )
    assert "4 states" in lines[1]
    assert "within 0.35, over 4 draws" in lines[2]
    assert lines[4].split() == ["g0", "2.50", "[", "2.00,", "3.00]", *("<", "0.2") * 3, "1.00", "15", "1", "-"]
    assert lines[5].split()[0] == "DUSP1"
    assert lines[6].split()[5:8] == ["0.25", "1", "0.33"]


def test_signs_counted_over_all_sweeps_take_the_place_of_those_of_draws() -> None:
    positive = np.stack([np.full(3, 0.5), 1.0 - np.array([1e-6, 0.9, 0.4])], axis=1)
    better = found(Counted(positive, 10**7))
    np.testing.assert_allclose(as_frame(better)["false_sign_rate"], [1e-6, 0.1, 0.4], rtol=1e-9)
    assert list(as_frame(better)["gene"]) == ["g0", "g1", "g2"]
    assert text(better)[4].split()[5] == "1e-06"


def test_the_trend_is_that_of_the_draws() -> None:
    data = stored()
    data["posterior"]["dispersion_floor"] = (("chain", "draw"), np.full((2, 2), 0.1))
    data["posterior"]["dispersion_slope"] = (("chain", "draw"), np.full((2, 2), 3.0))
    means, trend = pictures.trend(data, found())
    np.testing.assert_allclose([means[0], means[-1]], [1.0, 15.0], rtol=1e-12)
    np.testing.assert_allclose([trend[0], trend[-1]], [3.1, 0.3], rtol=1e-12)


def test_pictures_of_all_genes_are_small() -> None:
    rng, genes = np.random.default_rng(0), 22_369
    mean, rate = rng.standard_t(3.0, genes), rng.random(genes)
    many = found()._replace(
        genes=np.arange(genes), symbols=np.full(genes, ""), mean=mean, signs=Signs(rate, 1000), wrong=rate,
        s_value=rate, mean_count=rng.lognormal(4.0, 2.0, genes), dispersion=rng.lognormal(-3.0, 1.0, genes),
    )  # fmt: skip
    drawn = (pictures.ma(many), pictures.volcano(many), pictures.dispersions(many, np.ones((2, 5))))
    assert sum(len(picture.source) for picture in drawn) < 1.5e6


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from files, by the bare name of the model; its runner is built of the target and not of the files."""
    folder = tmp_path_factory.mktemp("genes")
    matrix, samples = write(folder)
    pd.Series(symbols(), name="symbol").to_csv(folder / "names.tsv", sep="\t")
    keys = {
        "counts": str(matrix),
        "samples": str(samples),
        "design": "~ donor + drug",
        "effect": "drug[T.dex]",
        "symbols": str(folder / "names.tsv"),
    }
    return maxwell.run("genes", {"model": keys}, out=folder / "run.zarr", local=True, progress=False, **SETTINGS).path


def test_a_run_from_files_has_its_table_report_and_labels(store: Path) -> None:
    run = maxwell.open_run(store)
    assert run.data["posterior"]["effect"].dims == ("chain", "draw", "gene", "coefficient")
    lines, whole = run.report_lines(), run.table()
    assert [line.split()[0] for line in lines[4:]] == [row.symbol or row.gene for row in whole.itertuples()]
    assert lines[0].startswith(tuple("01234567"))
    assert "of 7 genes change with drug[T.dex]" in lines[0]
    assert {"SPARCL1", "DUSP1"} <= {line.split()[0] for line in lines[4:]}
    html = page(Facts(store))
    for words in ("MA plot", "Volcano plot", "Dispersions", "Counts over size factors"):
        assert words in html


@pytest.mark.parametrize("name", ["genes.tsv", "genes.csv.gz", "genes.parquet"])
def test_the_whole_table_is_written(name: str, store: Path, tmp_path: Path) -> None:
    out = tmp_path / name
    assert main(["table", str(store), "--out", str(out)]) == 0
    read = pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out, sep=None, engine="python")
    assert sorted(read["gene"]) == list(counts().index[:7])
    assert read["false_or_small"].is_monotonic_increasing
    assert (read["ess"] > 0).all()
    assert (read["low"] < read["high"]).all()
    assert main(["table", str(store), "--out", str(out)]) == 2


def test_a_table_that_cannot_be_written_is_refused(store: Path, tmp_path: Path, capsys: Any) -> None:
    for out, message in (
        ("genes.xlsx", "must end in .tsv, .csv (also with .gz) or .parquet"),
        ("genes.parquet.gz", "must end in .tsv"),
        ("nowhere/genes.tsv", "there is no folder"),
        (f"{'n' * 300}.tsv", "cannot be written: File name too long"),
    ):
        assert main(["table", str(store), "--out", str(tmp_path / out)]) == 2
        assert message in capsys.readouterr().err


def test_a_model_without_such_a_table_says_so(tmp_path: Path) -> None:
    from workflows.results.tables.write import frame

    class Other:
        path = tmp_path
        attributes = {"model": "scorpio", "summary": {"draws": 3}}  # noqa: RUF012

    with pytest.raises(TableError, match=r"model 'scorpio' has no table for a file; models that have: genes"):
        frame(Other())  # type: ignore[arg-type]


def test_models_are_built_by_name_from_python() -> None:
    assert "genes" in dir(maxwell.models)
    assert maxwell.models.genes.__name__ == "genes"
    assert "counts: reads of genes" in maxwell.models.genes.__doc__
    assert maxwell.models.schools().name == "schools"
    assert maxwell.models.genes(counts(), sheet(), "~ drug").name == "genes"
    with pytest.raises(AttributeError, match=r"no model is called 'gene'; there are airway"):
        _ = maxwell.models.gene


def test_a_users_function_of_that_name_has_no_table_of_ours() -> None:
    ours, object_of_ours = {"model": "genes"}, {"model": "genes", "model_is_object": True, "model_is_shipped": True}
    for attributes, found_there in (
        (ours, True),
        (object_of_ours, True),
        ({**object_of_ours, "model_is_shipped": False}, False),
        ({"model": "genes", "model_is_object": True}, False),
    ):
        assert (entry_of(attributes) is not None) == found_there
    assert maxwell.models.genes(counts(), sheet(), "~ drug").shipped


def test_workers_get_the_target_and_no_files() -> None:
    settings = make_settings({"model": {"name": "genes", "counts": "counts.tsv"}})
    model = maxwell.models.genes(counts(), sheet(), "~ drug")
    spec = runner_spec(SimpleNamespace(model=model, spec=None), settings, None)  # type: ignore[arg-type]
    assert spec.arguments["model_factory"] == "workflows.modelling.given:carried"
    assert spec.arguments["keys"] == {"target": model.target}


def test_airway_is_a_configuration() -> None:
    settings = named_settings("airway", ["model.genes=40"])
    assert settings.model.name == "genes"
    model = build(settings.model.name, settings.model.keys)
    np.testing.assert_array_equal(model.coords["coefficient"][np.argmax(model.constant["contrast"])], "dex[T.trt]")
    assert len(model.coords["coefficient"]) == 4
    ready = packaged("airway")
    assert len(ready.symbols) == 10
    assert set(ready.symbols.index) <= set(ready.counts.frame.index)


def test_a_bare_name_is_a_config_first_then_a_model() -> None:
    assert named_settings("scorpio").config_name == "scorpio"
    assert named_settings("schools").model.name == "schools"
    with pytest.raises(SettingsError, match=r"there is no file genez"):
        named_settings("genez")
    with pytest.raises(SettingsError, match=r"1 problem in the settings of model schools:\n.*seed"):
        named_settings("schools", ["seed=-1"])
    with pytest.raises(SettingsError, match=r"counts: missing; give a file"):
        build("genes", named_settings("genes").model.keys)
