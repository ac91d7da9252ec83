"""Airway RNA-seq counts (GEO GSE52778, Himes et al. 2014): reading, the kept genes, library sizes and subsets."""

import gzip
from typing import NamedTuple

import numpy as np

from workflows.modelling.datasets import read_verified
from workflows.modelling.subsets import subset

MINIMUM_READS = 10
"""Genes with fewer reads over all samples are not kept."""


class Airway(NamedTuple):
    """Kept genes of the experiment, or a subset of them.

    counts: [sample, gene] reads. genes: [gene] Ensembl ids. samples: [sample] run accessions. cell_lines: [sample].
    library: [sample] log reads over all kept genes minus the mean over samples. treated: [sample] 1.0 with drug.
    """

    counts: np.ndarray
    genes: np.ndarray
    samples: np.ndarray
    cell_lines: np.ndarray
    library: np.ndarray
    treated: np.ndarray


def load(genes: int | None = None) -> Airway:
    """The kept genes in file order, or `genes` of them chosen with a fixed seed and sorted.

    Raises ValueError when `genes` is not between 1 and the number of kept genes; DatasetError when a file was changed.
    """
    ids, runs, counts = _read_counts()
    cell_lines, treated = _read_samples(runs)
    kept = counts.sum(axis=1) >= MINIMUM_READS
    ids, counts = ids[kept], counts[kept]
    reads = np.log(counts.sum(axis=0))
    chosen = subset(len(ids), genes, "genes", "kept genes")
    library = reads - reads.mean()
    return Airway(np.ascontiguousarray(counts[chosen].T), ids[chosen], runs, cell_lines, library, treated)


def _read_counts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gene ids [G], run accessions [S] and counts [G, S] of every gene in the file."""
    lines = gzip.decompress(read_verified("airway", "counts.tsv.gz")).decode().splitlines()
    runs = np.array(lines[0].split("\t")[1:])
    rows = [line.split("\t") for line in lines[1:]]
    counts = np.array([row[1:] for row in rows], dtype=np.int64)
    return np.array([row[0] for row in rows]), runs, counts


def _read_samples(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell line and treatment (1.0 with drug) of each run, in the order of `runs`."""
    lines = read_verified("airway", "samples.tsv").decode().splitlines()
    table = {run: (cell, dex) for run, cell, dex in (line.split("\t") for line in lines[1:])}
    cells = np.array([table[run][0] for run in runs])
    treated = np.array([table[run][1] == "trt" for run in runs], dtype=np.float64)
    return cells, treated
