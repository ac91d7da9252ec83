"""Counts of a paired or two-group experiment in which a stated share of the genes changes, by a law of choice.

    python -m workflows.studies.genes.simulate FOLDER --seed 1 --law heavy --outliers .01

writes counts.tsv, samples.tsv and truth.tsv. All else is as RNA-seq has it: expression log-normal over three decades,
libraries of different sizes, dispersions about a trend of the mean and, where asked for, counts that no negative
binomial makes.
"""

import argparse
import sys
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

Law = Literal["heavy", "normal", "none"]
LAWS: tuple[Law, ...] = ("heavy", "normal", "none")
FREEDOM = 3.0
"""Degrees of freedom of the heavy law."""


class Plan(NamedTuple):
    """What is simulated.

    genes: how many. pairs: donors, each with an untreated and a treated sample. changed: share of genes that change.
    law: of their effects: `heavy` (scale times Student's t with FREEDOM degrees), `normal` or `none` (nothing changes).
    scale: of the effects, in log2 units. donor_sd: of a donor's effect on a gene, in log2 units. floor, slope, spread:
    of the dispersions, log phi ~ N(log(floor + slope / mean), spread). outliers: share of counts that are multiplied by
    factor.
    """

    genes: int = 2000
    pairs: int = 4
    changed: float = 0.1
    law: Law = "heavy"
    scale: float = 1.0
    donor_sd: float = 0.3
    floor: float = 0.02
    slope: float = 2.0
    spread: float = 0.6
    outliers: float = 0.0
    factor: float = 20.0


class Simulated(NamedTuple):
    """counts: [gene, sample]. samples: the sheet, columns donor and treatment (control, drug). truth: by gene, columns
    log2_fold_change (0 where nothing changes), dispersion, mean (of the counts at size factor 1, over the samples)."""

    counts: pd.DataFrame
    samples: pd.DataFrame
    truth: pd.DataFrame


def simulate(plan: Plan, seed: int) -> Simulated:
    """Counts by the plan; the same for the same seed. Raises ValueError for a plan that cannot be followed."""
    _check(plan)
    rng = np.random.default_rng(seed)
    level = rng.normal(np.log(150.0), 2.0, plan.genes)
    effect = _effects(plan, rng)
    donors = np.log(2.0) * rng.normal(0.0, plan.donor_sd, (plan.genes, plan.pairs))
    treated = np.tile([0.0, 1.0], plan.pairs)
    log_mean = level[:, None] + np.repeat(donors, 2, axis=1) + effect[:, None] * treated
    mean = np.exp(log_mean).mean(axis=1)
    dispersion = np.exp(np.log(plan.floor + plan.slope / mean) + rng.normal(0.0, plan.spread, plan.genes))
    size = np.exp(rng.normal(0.0, 0.25, 2 * plan.pairs))
    shape = 1.0 / dispersion[:, None]
    reads = rng.poisson(size * np.exp(log_mean) * rng.gamma(shape, 1.0 / shape, log_mean.shape))
    beyond = rng.random(reads.shape) < plan.outliers
    reads = np.where(beyond, np.round(plan.factor * (reads + 1)).astype(np.int64), reads)
    genes = pd.Index([f"gene{number:05d}" for number in range(plan.genes)], name="gene")
    names = [f"{donor}{state}" for donor in range(plan.pairs) for state in "cd"]
    sheet = pd.DataFrame(
        {
            "donor": [f"donor{donor}" for donor in range(plan.pairs) for _ in "cd"],
            "treatment": ["control", "drug"] * plan.pairs,
        },
        index=pd.Index([f"s{name}" for name in names], name="sample"),
    )
    truth = {"log2_fold_change": effect / np.log(2.0), "dispersion": dispersion, "mean": mean}
    return Simulated(pd.DataFrame(reads, genes, sheet.index), sheet, pd.DataFrame(truth, genes))


def _effects(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """[gene] natural logarithms; exactly round(changed * genes) of them are not 0, unless the law is none."""
    effects = np.zeros(plan.genes)
    which = rng.choice(plan.genes, round(plan.changed * plan.genes), replace=False)
    if plan.law != "none":
        draws = rng.standard_t(FREEDOM, len(which)) if plan.law == "heavy" else rng.standard_normal(len(which))
        effects[which] = np.log(2.0) * plan.scale * draws
    return effects


def _check(plan: Plan) -> None:
    wrong = []
    if plan.genes < 1 or plan.pairs < 2:
        wrong.append(f"genes = {plan.genes}, pairs = {plan.pairs}: take 1 gene and 2 pairs or more")
    if not (0.0 <= plan.changed <= 1.0 and 0.0 <= plan.outliers <= 1.0):
        wrong.append(f"changed = {plan.changed}, outliers = {plan.outliers}: shares are between 0 and 1")
    if plan.law not in LAWS:
        wrong.append(f"law = {plan.law!r}: choose one of {', '.join(LAWS)}")
    if wrong:
        raise ValueError("; ".join(wrong))


def main() -> int:
    """Write the files of one simulated experiment."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.studies.genes.simulate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--genes", type=int, default=Plan().genes)
    parser.add_argument("--law", choices=LAWS, default=Plan().law)
    parser.add_argument("--outliers", type=float, default=Plan().outliers)
    arguments = parser.parse_args()
    plan = Plan(genes=arguments.genes, law=arguments.law, outliers=arguments.outliers)
    made = simulate(plan, arguments.seed)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, table in made._asdict().items():
        table.to_csv(arguments.folder / f"{name}.tsv", sep="\t")
    print(f"{plan.genes:,} genes in {2 * plan.pairs} samples, written to {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
