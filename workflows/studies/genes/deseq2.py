"""The fold changes of a stored run of `genes` beside those of PyDESeq2 on the same counts and design.

    maxwell table STORE --out genes.tsv
    python workflows/studies/genes/deseq2.py STORE genes.tsv

by a Python that has pydeseq2, statsmodels, xarray and zarr, of which the program needs the last two alone: so it is a
script that imports nothing of the program. PyDESeq2 (Muzellec et al. 2023) follows DESeq2 (Love, Huber and Anders
2014): maximum likelihood, dispersions shrunk towards a trend, Wald tests. The posterior mean shrinks small effects, the
estimate does not: they should agree where counts are high.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray

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
"""False discovery rate, and false sign rate, of the genes that are counted."""


class Experiment(NamedTuple):
    """counts: [sample, gene], labelled. design: [sample, column] with the intercept. effect: [column] what is told."""

    counts: pd.DataFrame
    design: pd.DataFrame
    effect: np.ndarray


def experiment(store: Path) -> Experiment:
    """What the run was given."""
    observed, constant = (xarray.open_zarr(store, group=group) for group in ("observed_data", "constant_data"))
    samples = [str(name) for name in observed["sample"].values]
    counts = pd.DataFrame(observed["counts"].values, samples, [str(gene) for gene in observed["gene"].values])
    columns = ["intercept", *(f"column_{k}" for k in range(constant.sizes["coefficient"]))]
    matrix = np.column_stack([np.ones(len(samples)), constant["covariates"].values])
    effect = np.concatenate([[0.0], constant["contrast"].values])
    return Experiment(counts, pd.DataFrame(matrix, samples, columns), effect)


def estimates(given: Experiment) -> pd.DataFrame:
    """PyDESeq2's results by gene: baseMean, log2FoldChange, lfcSE, padj."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    found = DeseqDataSet(counts=given.counts, metadata=given.design, design=given.design, quiet=True)
    found.deseq2()
    statistics = DeseqStats(found, contrast=given.effect, quiet=True)
    statistics.summary()
    return statistics.results_df


def compared(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """Lines that say how the two agree. ours: a table of `maxwell table`, by gene."""
    import statsmodels.api as sm

    both = ours.join(theirs, how="inner")
    high = both[(both["baseMean"] > HIGH) & both["log2FoldChange"].notna()]
    x, y = high["log2FoldChange"], high["log2_fold_change"]
    slope = sm.RLM(y, sm.add_constant(x)).fit().params.iloc[1]
    rank = both["false_sign_rate"].rank(method="first")
    lines = [
        f"{len(high):,} of {len(both):,} genes have a mean count above {HIGH:g}: correlation of log2 fold changes "
        f"{np.corrcoef(x, y)[0, 1]:.4f}, slope of a robust regression on PyDESeq2's {slope:.3f}",
        f"changed: {int((both['s_value'] <= SURE).sum()):,} genes at a false sign rate of {SURE:g}, "
        f"{int((both['padj'] <= SURE).sum()):,} at a false discovery rate of {SURE:g} by PyDESeq2",
        "gene        log2 fold change    sd    by PyDESeq2   standard error   place by false sign rate",
    ]
    for gene, name in RESPONDERS.items():
        if gene in both.index:
            row = both.loc[gene]
            lines.append(
                f"{name:10}  {row['log2_fold_change']:16.2f}  {row['sd']:4.2f}  {row['log2FoldChange']:12.2f}  "
                f"{row['lfcSE']:15.2f}  {int(rank[gene]):25,}"
            )
    return lines


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("table", type=Path, help="as `maxwell table STORE --out FILE.tsv` writes it")
    chosen = parser.parse_args(arguments)
    ours = pd.read_csv(chosen.table, sep="\t").set_index("gene")
    for line in compared(ours, estimates(experiment(chosen.store))):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
