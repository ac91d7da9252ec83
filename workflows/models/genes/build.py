"""The model of an experiment: from what a user gives to a `Model`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from workflows.modelling.distributions.negative_binomial import count_constant
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model
from workflows.modelling.subsets import subset
from workflows.models.genes.checks import checks
from workflows.models.genes.inputs.experiment import Experiment, Given, experiment
from workflows.models.genes.model import genes as genes_model
from workflows.models.genes.signs import SMALL
from workflows.models.genes.size_factors import log_size_factors


class Rows(NamedTuple):
    """different: [R, column] the different rows of a design, in the order in which they come first. of: [sample] row of
    each sample; None where every sample has its own."""

    different: np.ndarray
    of: np.ndarray | None


def build(
    counts: Any = None,
    samples: Any = None,
    design: str | None = None,
    effect: str | None = None,
    *,
    symbols: Any = None,
    minimum_reads: int = 10,
    threshold: float = 1.0,
    small: float = SMALL,
    genes: int | str = "all",
) -> Model:
    """Which genes change with an effect of a design: the model of a matrix of counts.

    counts: reads of genes in samples, as a file (.tsv, .csv, also with .gz; .parquet; .h5ad), a pandas DataFrame, an
    AnnData object, or `airway`; genes may be its rows or its columns. samples: a sheet (.tsv, .csv or DataFrame) with
    the samples' names in its first column (index); of AnnData, obs where not given. design: a formula of the
    sheet's columns, such as `~ cell + dex`; a factor's baseline is the level of its first sample. effect: the column of
    the design to report, such as `dex[T.trt]`; the last one where not given. symbols: names of the genes by id: a file
    of two columns, a mapping, or a column of the counts (of AnnData's var). minimum_reads: genes with fewer reads over
    all samples are left out. threshold: of |log2 fold change|, for the probability of lying beyond it. small: the |log2
    fold change| up to which a gene does not change; those called change by more, in a known direction. genes: "all", or
    a number of the kept genes, always the same ones; size factors are those of all.

    Raises SettingsError with all that is wrong in the data, ModelError for other settings.
    """
    _check(minimum_reads, {"threshold": threshold, "small": small})
    found = experiment(Given(counts, samples, design, effect, symbols))
    kept = np.flatnonzero(found.counts.sum(axis=1) >= minimum_reads)
    if not len(kept):
        raise ModelError(f"genes: no gene has {minimum_reads:,} reads over all samples: lower minimum_reads")
    bounds = {"threshold": float(threshold), "small": float(small)}
    return _model(found, kept[_chosen(len(kept), genes)], bounds, _left_out(len(found.genes), len(kept), minimum_reads))


def _check(minimum_reads: Any, bounds: Mapping[str, Any]) -> None:
    wrong = []
    if isinstance(minimum_reads, bool) or not isinstance(minimum_reads, int) or minimum_reads < 1:
        wrong.append(f"minimum_reads = {minimum_reads!r}; allowed are whole numbers from 1")
    for name, bound in bounds.items():
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not 0 <= bound < np.inf:
            wrong.append(f"{name} = {bound!r}; allowed are numbers from 0, of |log2 fold change|")
    if wrong:
        raise ModelError(f"genes: {'; '.join(wrong)}")


def _chosen(kept: int, genes: Any) -> np.ndarray:
    if genes != "all" and (isinstance(genes, bool) or not isinstance(genes, int)):
        raise ModelError(f'genes: genes = {genes!r}; allowed are "all" and a number of genes')
    try:
        return subset(kept, None if genes == "all" else genes, "genes", "kept genes")
    except ValueError as error:
        raise ModelError(f'genes: {error}, or "all"') from error


def _left_out(given: int, kept: int, minimum_reads: int) -> tuple[str, ...]:
    if given == kept:
        return ()
    return (
        f"{given - kept:,} of {given:,} genes are left out, having fewer than {minimum_reads} reads over all samples "
        f"(model.minimum_reads); {kept:,} are kept",
    )


def _model(found: Experiment, kept: np.ndarray, bounds: Mapping[str, float], notes: tuple[str, ...]) -> Model:
    """The model of the kept genes (indices). bounds: of |log2 fold change|, kept for what is told of the run."""
    reads = np.ascontiguousarray(found.counts[kept].T)
    log_size = log_size_factors(found.counts.T)
    covariates = found.design.matrix[:, 1:]
    rows = different_rows(covariates)
    data = {
        "counts": reads.astype(np.int32),
        "constant": np.asarray(jax.jit(count_constant)(reads)),
        "log_size": log_size,
        "rows": rows.different,
        "centre": covariates.mean(axis=0),
        "row_of": rows.of,
    }
    columns = found.design.columns[1:]
    contrast = np.eye(len(columns))[found.design.effect]
    labels = {"gene": found.genes[kept], "sample": found.samples, "coefficient": np.array(columns)}
    names = ("effect", "effect_sd", "effect_df", "contrast")
    made = numpyro_model(
        genes_model,
        data,
        name="genes",
        coords=labels,
        dims={name: ("coefficient",) for name in names}
        | {"size_factor": ("sample",), "covariates": ("sample", "coefficient"), "symbol": ("gene",)}
        | dict.fromkeys(bounds, ()),
        constant={
            "size_factor": np.exp(log_size),
            "covariates": covariates,
            "contrast": contrast,
            "symbol": found.symbols[kept],
            **bounds,
        },
        checks=checks(reads, log_size),
    )
    return replace(made, notes=notes)


def different_rows(design: np.ndarray) -> Rows:
    """The different rows of a design [sample, column]."""
    _, first, which = np.unique(design, axis=0, return_index=True, return_inverse=True)
    if len(first) == len(design):
        return Rows(design, None)
    order = np.argsort(first)
    return Rows(design[first[order]], np.argsort(order)[which.reshape(-1)].astype(np.int32))
