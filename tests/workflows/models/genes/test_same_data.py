"""The same experiment through text, gzip, Parquet, AnnData and pandas is the same model to the last bit."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import maxwell
from tests.support.experiments import SAMPLES, counts, sheet, symbols
from workflows.modelling.fingerprint import fingerprint
from workflows.modelling.model import Model

DESIGN, EFFECT = "~ donor + drug", "drug[T.dex]"

Route = Callable[[Path], Model]


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Text as AnnData writes it, which does not know that of pandas 3."""
    frame = frame.set_axis(pd.Index(list(frame.index), dtype=object), axis=0)
    return frame.astype({name: object for name in frame.columns if frame[name].dtype.kind not in "iuf"})


def csv_pair(folder: Path) -> Model:
    counts().to_csv(folder / "counts.csv")
    sheet().to_csv(folder / "samples.csv")
    return maxwell.models.genes(str(folder / "counts.csv"), str(folder / "samples.csv"), DESIGN, EFFECT)


def gzipped_by_r(folder: Path) -> Model:
    """As R's write.table has it, with a comment before and a name fewer in the first line; samples in another order."""
    turned = counts()[SAMPLES[::-1]]
    lines = ["# from R", "\t".join(turned.columns), *("\t".join(map(str, row)) for row in turned.itertuples())]
    pd.Series(lines).to_csv(folder / "counts.txt.gz", index=False, header=False, quoting=3, sep="\x01")
    sheet().to_csv(folder / "samples.tsv", sep="\t")
    return maxwell.models.genes(folder / "counts.txt.gz", folder / "samples.tsv", DESIGN, EFFECT)


def parquet(folder: Path) -> Model:
    counts().reset_index().to_parquet(folder / "counts.parquet")
    return maxwell.models.genes(folder / "counts.parquet", sheet(), DESIGN, EFFECT)


def anndata_file(folder: Path) -> Model:
    """Samples as observations, in single precision, sparse, with the sheet in obs, whose factors AnnData sorts."""
    values = scipy.sparse.csr_matrix(counts().to_numpy(np.float32).T)
    names = pd.DataFrame({"symbol": [symbols().get(gene, "") for gene in counts().index]}, index=list(counts().index))
    anndata.AnnData(values, obs=plain(sheet()), var=plain(names)).write_h5ad(folder / "counts.h5ad")
    return maxwell.models.genes(folder / "counts.h5ad", None, DESIGN, EFFECT)


def turned_anndata(folder: Path) -> Model:
    """Genes as observations."""
    of_genes, of_samples = pd.DataFrame(index=list(counts().index)), pd.DataFrame(index=SAMPLES)
    made = anndata.AnnData(counts().to_numpy(float), obs=plain(of_genes), var=plain(of_samples))
    made.write_h5ad(folder / "counts.h5ad")
    return maxwell.models.genes(folder / "counts.h5ad", sheet(), DESIGN, EFFECT)


def pandas_objects(folder: Path) -> Model:
    return maxwell.models.genes(counts(), sheet(), DESIGN, EFFECT)


def turned_pandas(folder: Path) -> Model:
    """Samples as rows, floats, names in columns."""
    return maxwell.models.genes(counts().T.astype(float), sheet().reset_index(), DESIGN, EFFECT)


ROUTES: list[Route] = [csv_pair, gzipped_by_r, parquet, anndata_file, turned_anndata, turned_pandas]


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_gives_the_same_bits(route: Route, tmp_path: Path) -> None:
    expected, found = pandas_objects(tmp_path), route(tmp_path)
    assert set(found.data) == set(expected.data)
    for name, values in expected.data.items():
        assert found.data[name].dtype == values.dtype
        np.testing.assert_array_equal(found.data[name], values, strict=True)
    for name, labels in expected.coords.items():
        np.testing.assert_array_equal(found.coords[name], labels)
    assert fingerprint(found) == fingerprint(expected)


def test_names_of_genes_come_with_anndata(tmp_path: Path) -> None:
    assert list(anndata_file(tmp_path).constant["symbol"]) == ["SPARCL1", "", "", "DUSP1", "", "", ""]


def test_names_of_genes_come_in_a_column_or_a_file(tmp_path: Path) -> None:
    named = counts().assign(gene_name=[symbols().get(gene, "") for gene in counts().index])
    pd.Series(symbols(), name="symbol").to_csv(tmp_path / "names.tsv", sep="\t")
    for model in (
        maxwell.models.genes(named, sheet(), DESIGN),
        maxwell.models.genes(named.rename(columns={"gene_name": "who"}), sheet(), DESIGN, symbols="who"),
        maxwell.models.genes(counts(), sheet(), DESIGN, symbols=str(tmp_path / "names.tsv")),
    ):
        assert list(model.constant["symbol"]) == ["SPARCL1", "", "", "DUSP1", "", "", ""]


def test_the_baseline_is_the_first_samples_level_unless_categories_say_otherwise() -> None:
    def columns(drug: pd.Categorical | list[str]) -> list[str]:
        model = maxwell.models.genes(counts(), sheet().assign(drug=drug), "~ drug")
        return list(model.coords["coefficient"])

    levels = ["none", "dex"] * 3
    assert columns(levels) == columns(pd.Categorical(levels, ["dex", "none"])) == ["drug[T.dex]"]
    assert columns(pd.Categorical(levels, ["dex", "none"], ordered=True)) == ["drug[T.none]"]
    assert columns(pd.Categorical(levels[::-1], ["none", "dex"])) == ["drug[T.dex]"]
