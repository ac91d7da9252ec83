"""How well genes are called where the truth is known: coverage, wrong calls and power over simulated experiments.

    python -m workflows.studies.genes.calls sample FOLDER           # simulates, and samples what is not sampled yet
    python workflows/studies/genes/deseq2.py FOLDER/* --keep        # by a Python that has pydeseq2
    python -m workflows.studies.genes.calls judge FOLDER

A tenth of the genes changes, by a heavy and a normal law in turn; every third experiment has outliers. Of its calls at
5% those are wrong whose gene does not change or changes the other way. Power is the share of the changing genes that
are called with their sign; what a promise of 5% brings depends on how it is kept, so the power is also told of the
longest list, in each one's order, of which up to 5% are wrong. PyDESeq2 calls by an adjusted p-value up to .05, which
its shrinkage leaves as it is.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workflows.models.genes.effects import CALLED
from workflows.sampling.session import run
from workflows.studies.genes import given
from workflows.studies.genes.simulate import LAWS, Plan, simulate

EXPERIMENTS = 20
OUTLIERS = 0.01
"""Share of counts that are outliers, in one experiment of three."""
DESIGN, EFFECT = "~ donor + treatment", "treatment[T.drug]"
THIRDS = ("low", "middle", "high")
SETTINGS: dict[str, Any] = {
    "goals": {"ess": 100, "shared_ess": 200, "draws": 50},
    "limits": {"minutes": 5},
}
"""Of a run: fewer draws than an analysis wants, and enough to call genes by (1,600, of which 5% are 80)."""


class Calls(NamedTuple):
    """called: genes. wrong: of these, those that do not change, or the other way. right: of these, the others. ranked:
    right ones in the longest list, by the order of the calls, of which up to 5% are wrong: told by the truth."""

    called: int
    wrong: int
    right: int
    ranked: int


def plan_of(number: int, genes: int) -> Plan:
    """What the numbered experiment simulates."""
    return Plan(genes=genes, law=LAWS[number % 2], outliers=OUTLIERS if number % 3 == 2 else 0.0)


def sample(folder: Path, number: int, genes: int) -> None:
    """Simulate and sample one experiment: counts, samples, truth and what `given` writes."""
    plan = plan_of(number, genes)
    folder.mkdir(parents=True, exist_ok=True)
    made = simulate(plan, number)
    for name, table in made._asdict().items():
        table.to_csv(folder / f"{name}.tsv", sep="\t")
    files = {name: str(folder / f"{name}.tsv") for name in ("counts", "samples")}
    model: dict[str, Any] = {"name": "genes", **files, "design": DESIGN, "effect": EFFECT}
    found = run("genes", SETTINGS, model=model, seed=number, out=folder / "run.zarr", local=True)
    print(f"{folder.name}: {plan.law}, outliers {plan.outliers:g}\n{found!r}", flush=True)
    given.write(str(folder / "run.zarr"), folder)


def judged(called: pd.Series, sign: pd.Series, truth: pd.Series) -> Calls:
    """Of genes in the order of the calls: whether called, with which sign; truth: log2 fold changes, 0 where there is
    none."""
    true = truth[called.index]
    good = ((np.sign(sign) == np.sign(true)) & (true != 0)).to_numpy()
    listed = np.cumsum(~good) <= CALLED * np.arange(1, len(good) + 1)
    longest = len(good) - np.argmax(listed[::-1]) if listed.any() else 0
    right = int((called & good).sum())
    return Calls(int(called.sum()), int(called.sum()) - right, right, int(good[:longest].sum()))


def coverage(table: pd.DataFrame, truth: pd.Series) -> pd.Series:
    """Of the 95% intervals: all, those of genes that change, and of each third of the genes by mean count; index: all,
    changing, low, middle, high."""
    inside = (table["low"] < truth) & (truth < table["high"])
    third = pd.qcut(table["mean_count"].rank(method="first"), 3, labels=list(THIRDS))
    whole = pd.Series({"all": inside.mean(), "changing": inside[truth != 0].mean()})
    return pd.concat([whole, inside.groupby(third, observed=True).mean()])


def judge(folders: list[Path], genes: int) -> list[str]:
    """A markdown table, a row an experiment, and the sums."""
    lines = [
        "| experiment | covered | changing | low | middle | high | called | wrong | power | power, 5% wrong "
        "| PyDESeq2 called | wrong | power | power, 5% wrong |",
        f"|{'---|' * 14}",
    ]
    covered: list[pd.Series] = []
    ours: list[Calls] = []
    theirs: list[Calls] = []
    changing: list[int] = []
    for folder in folders:
        table, found, truth = (
            pd.read_csv(folder / name, sep="\t", index_col=0) for name in ("table.tsv", "deseq2.tsv", "truth.tsv")
        )
        true = truth["log2_fold_change"]
        found = found.sort_values("pvalue")
        ours.append(judged(table["s_value"] <= CALLED, table["log2_fold_change"], true))
        theirs.append(judged(found["padj"] <= CALLED, found["log2FoldChange"], true))
        covered.append(coverage(table, true[table.index]))
        changing.append(int((true != 0).sum()))
        plan = plan_of(int(folder.name), genes)
        name = f"{folder.name} {plan.law}" + (", outliers" if plan.outliers else "")
        lines.append(_row(name, covered[-1], ours[-1], theirs[-1], changing[-1]))
    our_sum, their_sum = (Calls(*np.sum(of, axis=0).tolist()) for of in (ours, theirs))
    mean = pd.concat(covered, axis=1).mean(axis=1)
    return [*lines, _row(f"all {len(folders)}", mean, our_sum, their_sum, sum(changing))]


def _row(name: str, covered: pd.Series, ours: Calls, theirs: Calls, changing: int) -> str:
    shares = [f"{covered[part]:.3f}" for part in ("all", "changing", *THIRDS)]
    calls = [
        cell
        for of in (ours, theirs)
        for cell in (
            f"{of.called:,}",
            f"{of.wrong / max(of.called, 1):.3f}",
            f"{of.right / changing:.3f}",
            f"{of.ranked / changing:.3f}",
        )
    ]
    return f"| {' | '.join([name, *shares, *calls])} |"


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("sample", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS)
    parser.add_argument("--genes", type=int, default=Plan().genes)
    chosen = parser.parse_args(arguments)
    folders = [chosen.folder / f"{number:02d}" for number in range(chosen.experiments)]
    if chosen.do == "sample":
        for number, folder in enumerate(folders):
            if not (folder / "table.tsv").exists():
                sample(folder, number, chosen.genes)
        return 0
    for line in judge([folder for folder in folders if (folder / "deseq2.tsv").exists()], chosen.genes):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
