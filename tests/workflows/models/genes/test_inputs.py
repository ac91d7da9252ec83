"""Whatever is wrong with counts, samples and design is refused before any work, all of it at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import maxwell
from tests.support.experiments import SAMPLES, counts, sheet, symbols, write
from workflows.cli.main import main
from workflows.modelling.errors import ModelError
from workflows.settings.errors import SettingsError

DESIGN = "~ donor + drug"


def with_value(gene: str, sample: str, value: Any) -> pd.DataFrame:
    changed = counts().astype(object)
    changed.loc[gene, sample] = value
    return changed


def renamed(frame: pd.DataFrame, **names: str) -> pd.DataFrame:
    return frame.rename(columns=names, index=names)


def test_good_input_is_taken() -> None:
    model = maxwell.models.genes(counts(), sheet(), DESIGN, "drug[T.dex]", symbols=symbols())
    assert model.notes == (
        "1 of 8 genes are left out, having fewer than 10 reads over all samples (model.minimum_reads); 7 are kept",
    )
    assert list(model.coords["coefficient"]) == ["donor[T.b]", "donor[T.c]", "drug[T.dex]"]
    np.testing.assert_array_equal(model.observed["counts"], counts().to_numpy()[:7].T)
    assert list(model.constant["symbol"]) == ["SPARCL1", "", "", "DUSP1", "", "", ""]
    assert len(maxwell.models.genes(counts(), sheet(), DESIGN, minimum_reads=1).coords["gene"]) == 8


BAD: dict[str, tuple[Callable[[], tuple[Any, ...]], str]] = {
    "a sample that the counts lack": (
        lambda: (counts().drop(columns="b1"), sheet(), DESIGN),
        r"the sheet names b1, which the counts lack; those have a1, a2, b2, c1, c2",
    ),
    "a sample that the sheet lacks": (
        lambda: (counts(), sheet().drop(index="c2"), DESIGN),
        r"the counts have c2, which the sheet lacks",
    ),
    "no sample in common": (
        lambda: (renamed(counts(), **{name: name.upper() for name in SAMPLES}), sheet(), DESIGN),
        r"the sheet names a1, a2, b1, b2, c1 and 1 more, which the counts lack; those have A1, A2, B1, B2, C1 and 1",
    ),
    "a sample twice in the counts": (
        lambda: (pd.concat([counts(), counts()[["a1"]]], axis=1), sheet(), DESIGN),
        r"counts: samples are there more than once: a1",
    ),
    "a sample twice in the sheet": (
        lambda: (counts(), pd.concat([sheet(), sheet().iloc[:1]]), DESIGN),
        r"the sheet has samples more than once: a1",
    ),
    "a gene twice": (
        lambda: (pd.concat([counts(), counts().iloc[2:4]]), sheet(), DESIGN),
        r"2 gene ids are there more than once \(ENSG02, ENSG03\)",
    ),
    "a count that is not whole": (
        lambda: (with_value("ENSG01", "a2", 2.5), sheet(), DESIGN),
        r"1 value is not whole, the first 2\.5 of ENSG01 in a2; the model is of reads as counted",
    ),
    "a negative count": (
        lambda: (with_value("ENSG01", "a2", -1), sheet(), DESIGN),
        r"1 value is negative, the first -1 of ENSG01 in a2",
    ),
    "a missing count": (
        lambda: (with_value("ENSG01", "a2", np.nan), sheet(), DESIGN),
        r"1 value is missing \(NaN\), the first nan of ENSG01 in a2",
    ),
    "text": (
        lambda: (with_value("ENSG01", "a2", "many"), sheet(), DESIGN),
        r"1 value is not a number \(text\), the first many of ENSG01 in a2",
    ),
    "too large a count": (
        lambda: (with_value("ENSG01", "a2", 3e9), sheet(), DESIGN),
        r"1 value is infinite or above 2,147,483,647",
    ),
    "a sample without reads": (lambda: (counts().assign(b2=0), sheet(), DESIGN), r"no reads at all in b2"),
    "a design that is not of full rank": (
        lambda: (counts(), sheet().assign(batch=list("ppqqqq")), "~ donor + batch + drug"),
        r"is not of full rank: batch\[T\.q\] can be made of the columns before",
    ),
    "no residual degree of freedom": (
        lambda: (counts(), sheet(), "~ donor * drug"),
        r"has 6 columns for 6 samples: no residual degree of freedom",
    ),
    "an effect that the design lacks": (
        lambda: (counts(), sheet(), DESIGN, "drug[T.none]"),
        r"has no 'drug\[T\.none\]'; it has donor\[T\.b\], donor\[T\.c\], drug\[T\.dex\]",
    ),
    "no effect at all": (lambda: (counts(), sheet(), "~ 1"), r"'~ 1' has no column beside the intercept"),
    "no intercept": (lambda: (counts(), sheet(), "~ 0 + donor + age"), r"has no intercept, which every gene needs"),
    "a formula that does not parse": (
        lambda: (counts(), sheet(), "~ donor +"),
        r"'~ donor \+' is no formula \(Operator `\+` has .* arguments .*; write one such as",
    ),
    "a formula with a number that is none": (
        lambda: (counts(), sheet(), "/jv(0sT)"),
        r"'/jv\(0sT\)' is no formula \(.*; write one such as",
    ),
    "a left side": (lambda: (counts(), sheet(), "age ~ drug"), r"has a left side or several parts"),
    "a column that the sheet lacks": (
        lambda: (counts(), sheet(), "~ donor + dose"),
        r"names dose, and the sheet has donor, drug, age",
    ),
    "a column with a hole": (
        lambda: (counts(), sheet().assign(drug=["none", "dex", None, "dex", "none", "dex"]), DESIGN),
        r"samples: drug is missing for b1",
    ),
    "a formula that cannot be worked out": (
        lambda: (counts(), sheet(), "~ donor + poly(drug)"),
        r"'~ donor \+ poly\(drug\)' cannot be worked out",
    ),
    "no formula": (lambda: (counts(), sheet(), None), r"design: None was given: give a formula as text"),
    "no counts": (lambda: (None, sheet(), DESIGN), r"counts: missing; give a file"),
    "no sheet": (lambda: (counts(), None, DESIGN), r"samples: missing; give a sheet"),
    "a list": (
        lambda: ([1, 2], sheet(), DESIGN),
        r"counts: list was given: give a file, a pandas DataFrame or an AnnData",
    ),
    "no file": (lambda: ("nowhere.tsv", sheet(), DESIGN), r"counts: there is no file nowhere\.tsv"),
    "an unknown kind of file": (
        lambda: ("counts.xlsx", sheet(), DESIGN),
        r"its ending '\.xlsx' is not known; allowed: \.tsv",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_with_its_message(what: str) -> None:
    given, message = BAD[what]
    with pytest.raises(SettingsError, match=message) as caught:
        maxwell.models.genes(*given())
    said = 2 if what == "no sample in common" else 1
    assert len(caught.value.problems) == said, caught.value


def test_all_that_is_wrong_is_said_at_once() -> None:
    bad = with_value("ENSG01", "a2", -1)
    bad.loc["ENSG02", "a1"] = np.nan
    with pytest.raises(SettingsError, match="5 problems") as caught:
        maxwell.models.genes(bad.drop(columns="b1"), sheet(), DESIGN, "dose", symbols="names")
    text = str(caught.value)
    for part in (
        "has no 'dose'",
        "names b1",
        "is negative",
        "is missing (NaN)",
        "'names' is neither a file nor a column",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minimum_reads": 0}, "minimum_reads = 0; allowed are whole numbers from 1"),
        ({"threshold": -1.0}, "threshold = -1.0; allowed are numbers from 0"),
        ({"small": float("nan")}, "small = nan; allowed are numbers from 0"),
        ({"minimum_reads": 10**6}, "no gene has 1,000,000 reads over all samples"),
        ({"genes": "few"}, "genes = 'few'; allowed are \"all\" and a number"),
    ],
)
def test_other_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        maxwell.models.genes(counts(), sheet(), DESIGN, **settings)


@pytest.mark.parametrize("given", [{"ENSG99": "X"}, pd.Series({"other": "Y"})])
def test_symbols_of_other_genes_are_refused(given: Any) -> None:
    with pytest.raises(SettingsError, match=r"no gene id of the counts \(first ENSG00\) is among those given"):
        maxwell.models.genes(counts(), sheet(), DESIGN, symbols=given)


def test_the_command_line_refuses_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matrix, samples = write(tmp_path)
    arguments = [f"model.counts={matrix}", f"model.samples={samples}", "model.design=~ donor + dose"]
    assert main(["run", "genes", *arguments, "--local", "--out", str(tmp_path / "run.zarr")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("maxwell: 1 problem in the counts, samples and design given to model genes:\n  - design: ")
    assert not (tmp_path / "run.zarr").exists()


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    for name, content, message in (
        ("empty.tsv", b"", "it is empty"),
        ("names.tsv", b"gene\ta1\n", "it has names and no rows"),
        ("fields.csv", b"gene,a1\nx,1,2,3\n", "its names are 2 and its rows have 4 fields"),
        ("plain.tsv.gz", b"gene\ta1\n", "cannot be read"),
        ("broken.parquet", b"gene", "cannot be read"),
        ("broken.h5ad", b"gene", "cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SettingsError, match=message):
            maxwell.models.genes(tmp_path / name, sheet(), DESIGN)


def test_arrays_are_no_settings() -> None:
    with pytest.raises(ModelError, match=r"was given arrays \(counts\).*maxwell\.models\.genes"):
        maxwell.sample("genes", {"counts": counts(), "design": DESIGN})
