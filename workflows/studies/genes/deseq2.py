"""The fold changes of a stored run of `genes` beside those of PyDESeq2 on the same counts and design.

    python -m workflows.studies.genes.given STORE FOLDER
    python workflows/studies/genes/deseq2.py FOLDER

the second by a Python that has pydeseq2 and statsmodels, which the program does not need: so it is a
script that imports nothing of the program. PyDESeq2 (Muzellec et al. 2023) follows DESeq2 (Love, Huber and Anders
2014): maximum likelihood, dispersions shrunk towards a trend, Wald tests. The posterior mean shrinks small effects, the
estimate does not, and the estimate of apeGLM (Zhu, Ibrahim and Love 2019), under a prior of Cauchy's, does: they should
agree where counts are high.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

RESPONDERS = {
    "ENSG00000152583": "SPARCL1",
    "ENSG00000120129": "DUSP1",
    "ENSG00000179094": "PER1",
    "ENSG00000163884": "KLF15",
    "ENSG00000109906": "ZBTB16",
    "ENSG00000189221": "MAOA",
    "ENSG00000103196": "CRISPLD2",
    "ENSG00000096060": "FKBP5",
    "ENSG00000157514": "TSC22D3",
    "ENSG00000165995": "CACNB2",
}
"""Genes that published analyses of airway find."""
HIGH = 100.0
"""Mean count above which a gene is compared."""
SURE = 0.05
"""False discovery rate of the genes that are counted, and expected share of wrong calls."""


class Experiment(NamedTuple):
    """counts: [sample, gene], labelled. design: [sample, column] with the intercept. effect: [column] what is told."""

    counts: pd.DataFrame
    design: pd.DataFrame
    effect: pd.Series


def experiment(folder: Path) -> Experiment:
    """What the run was given."""
    counts, design, effect = (
        pd.read_csv(folder / f"{name}.tsv", sep="\t", index_col=0) for name in ("counts", "design", "effect")
    )
    return Experiment(counts, design, effect["weight"])


def estimates(given: Experiment) -> pd.DataFrame:
    """PyDESeq2's results by gene: baseMean, log2FoldChange, lfcSE, padj; shrunk: the log2 fold change by its apeGLM."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    found = DeseqDataSet(counts=given.counts, metadata=given.design, design=given.design, quiet=True)
    found.deseq2()
    statistics = DeseqStats(found, contrast=given.effect.to_numpy(), quiet=True)
    statistics.summary()
    plain = statistics.results_df.copy()
    statistics.lfc_shrink(coeff=given.effect.index[given.effect.to_numpy().argmax()])
    return plain.assign(shrunk=statistics.results_df["log2FoldChange"])


def compared(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """Lines that say how the two agree. ours: a table of `maxwell table`, by gene."""
    both = ours.join(theirs, how="inner")
    high = both[(both["baseMean"] > HIGH) & both["log2FoldChange"].notna()]
    rank = pd.Series(range(1, len(both) + 1), both.index)  # the table's order
    lines = [
        f"{len(high):,} of {len(both):,} genes have a mean count above {HIGH:g}; correlation of log2 fold changes, "
        "slope of a robust regression on PyDESeq2's:",
        *(
            f"  {what} {np.corrcoef(high[theirs], high['log2_fold_change'])[0, 1]:.4f}, {_slope(high, theirs):.3f}"
            for what, theirs in (("estimates", "log2FoldChange"), ("shrunk estimates", "shrunk"))
        ),
        f"changed: {int((both['s_value'] <= SURE).sum()):,} genes, {SURE:.0%} of them wrongly by expectation, "
        f"{int((both['padj'] <= SURE).sum()):,} at a false discovery rate of {SURE:g} by PyDESeq2",
        "gene        log2 fold change    sd    by PyDESeq2   standard error   place by false sign or small",
    ]
    for gene, name in RESPONDERS.items():
        if gene in both.index:
            row = both.loc[gene]
            lines.append(
                f"{name:10}  {row['log2_fold_change']:16.2f}  {row['sd']:4.2f}  {row['log2FoldChange']:12.2f}  "
                f"{row['lfcSE']:15.2f}  {int(rank[gene]):25,}"
            )
    return lines


def _slope(genes: pd.DataFrame, theirs: str) -> float:
    """Of our log2 fold changes on theirs, by Huber's M-estimator."""
    import statsmodels.api as sm

    return float(sm.RLM(genes["log2_fold_change"], sm.add_constant(genes[theirs])).fit().params.iloc[1])


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="of what `workflows.studies.genes.given` writes")
    parser.add_argument("--keep", action="store_true", help="write the estimates to deseq2.tsv, and compare nothing")
    chosen = parser.parse_args(arguments)
    for folder in chosen.folders:
        theirs = estimates(experiment(folder))
        if chosen.keep:
            theirs.to_csv(folder / "deseq2.tsv", sep="\t")
            continue
        for line in compared(pd.read_csv(folder / "table.tsv", sep="\t").set_index("gene"), theirs):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
