"""Simulated counts have the share of changed genes, the moments and the outliers that were asked for."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import maxwell
from workflows.studies.genes import simulate as module
from workflows.studies.genes.simulate import Plan, simulate


def test_the_same_seed_is_the_same_experiment() -> None:
    first, second, other = simulate(Plan(genes=50), 1), simulate(Plan(genes=50), 1), simulate(Plan(genes=50), 2)
    for one, two in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one, two)
    assert (first.counts != other.counts).any(axis=None)


@pytest.mark.parametrize(("law", "changed"), [("heavy", 100), ("normal", 100), ("none", 0)])
def test_a_tenth_of_the_genes_changes(law: module.Law, changed: int) -> None:
    assert (simulate(Plan(genes=1000, law=law), 0).truth["log2_fold_change"] != 0).sum() == changed


def test_the_heavy_law_has_the_heavier_tails() -> None:
    """Of 4,000 draws beyond 6 scales: t_3 has .93% (37, sd 6.1: 8 is 4.7 below and more), a normal 2e-9."""
    plan = Plan(genes=4000, changed=1.0)
    sizes = {law: np.abs(simulate(plan._replace(law=law), 0).truth["log2_fold_change"]) for law in module.LAWS[:2]}
    assert (sizes["heavy"] > 6).sum() > 8
    assert (sizes["normal"] > 6).sum() == 0


def test_counts_have_the_variance_of_their_dispersion() -> None:
    """Without donors and effects all counts of a gene are alike but for the libraries: over 200 pairs and 300 genes of
    more than 20 reads the ratio of the variance to mean + dispersion mean^2 is 1."""
    plan = Plan(genes=300, pairs=200, law="none", donor_sd=0.0, floor=0.05, slope=1.0)
    made = simulate(plan, 3)
    counts, truth = made.counts.to_numpy(float), made.truth
    size = np.exp(np.log(counts + 1.0).mean(axis=0))
    scaled = counts / (size / size.mean())
    chosen = (truth["mean"] > 20).to_numpy()
    expected = (truth["mean"] + truth["dispersion"] * truth["mean"] ** 2)[chosen].to_numpy()
    mean = scaled.mean(axis=1)[chosen]
    ratio = scaled.var(axis=1)[chosen] / (expected * (mean / truth["mean"].to_numpy()[chosen]) ** 2)
    assert 0.85 < np.median(ratio) < 1.15


def test_outliers_are_as_many_as_asked_for() -> None:
    """Of 16,000 counts 1% is 160, sd 12.6: a false alarm beyond 75 is a 6 sd event."""
    plain, spoiled = simulate(Plan(outliers=0.0), 5), simulate(Plan(outliers=0.01), 5)
    assert abs((plain.counts != spoiled.counts).to_numpy().sum() - 160) < 75


def test_what_is_written_is_read_by_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["simulate", str(tmp_path), "--genes", "40"])
    assert module.main() == 0
    model = maxwell.models.genes(tmp_path / "counts.tsv", tmp_path / "samples.tsv", "~ donor + treatment")
    assert list(model.coords["coefficient"])[-1] == "treatment[T.drug]"
    assert len(pd.read_csv(tmp_path / "truth.tsv", sep="\t")) == 40


def test_a_plan_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pairs = 1: take .*; changed = 2.0, .*; law = 'wild'"):
        simulate(Plan(pairs=1, changed=2.0, law="wild"), 0)  # type: ignore[arg-type]
