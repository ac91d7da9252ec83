"""What a stored run of `genes` was given and what it found, as tables for other programs.

    python -m workflows.studies.genes.given STORE FOLDER

writes counts.tsv (samples in rows), design.tsv (columns of the design, with the intercept), effect.tsv (the weight of
each column in the effect) and table.tsv (as `maxwell table` does).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from workflows.sampling.session import open_run


def write(store: str, folder: Path) -> None:
    """The four tables."""
    run = open_run(store)
    data = run.data
    observed, constant = data["observed_data"], data["constant_data"]
    samples = [str(name) for name in observed["sample"].values]
    columns = ["intercept", *map(str, constant["coefficient"].values)]
    matrix = np.column_stack([np.ones(len(samples)), constant["covariates"].values])
    effect = np.concatenate([[0.0], constant["contrast"].values])
    folder.mkdir(parents=True, exist_ok=True)
    counts = pd.DataFrame(observed["counts"].values, samples, observed["gene"].values)
    design = pd.DataFrame(matrix, samples, columns)
    for name, frame in (("counts", counts), ("design", design), ("effect", pd.DataFrame({"weight": effect}, columns))):
        frame.to_csv(folder / f"{name}.tsv", sep="\t")
    run.table().to_csv(folder / "table.tsv", sep="\t", index=False)


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args(arguments)
    write(chosen.store, chosen.folder)
    print(f"Written to {chosen.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
