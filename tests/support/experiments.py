"""A small experiment of counts, and its files."""

from pathlib import Path

import numpy as np
import pandas as pd

SAMPLES = ["a1", "a2", "b1", "b2", "c1", "c2"]


def counts() -> pd.DataFrame:
    """[gene, sample] of 8 genes, the last with 3 reads."""
    values = np.random.default_rng(1).negative_binomial(3.0, 0.05, (8, 6)) + 1
    values[7] = [1, 0, 0, 1, 1, 0]
    return pd.DataFrame(values, index=pd.Index([f"ENSG{gene:02d}" for gene in range(8)], name="gene"), columns=SAMPLES)


def sheet() -> pd.DataFrame:
    """Three donors, each without and with the drug; alphabetically the drug comes first."""
    return pd.DataFrame(
        {"donor": list("aabbcc"), "drug": ["none", "dex"] * 3, "age": [30, 31, 42, 43, 55, 56]},
        index=pd.Index(SAMPLES, name="sample"),
    )


def symbols() -> dict[str, str]:
    return {"ENSG00": "SPARCL1", "ENSG03": "DUSP1"}


def write(folder: Path) -> tuple[Path, Path]:
    """counts.csv and samples.csv."""
    counts().to_csv(folder / "counts.csv")
    sheet().to_csv(folder / "samples.csv")
    return folder / "counts.csv", folder / "samples.csv"
