"""Gene expression of airway cells with and without dexamethasone: a negative binomial model of RNA-seq counts.

    y_gs ~ NegBinomial(mean = exp(lib_s + a_g + d_g treated_s + c_g,cell(s)), variance = mean + phi_g mean^2)
    a_g ~ N(mu_a, sd_a), d_g ~ N(0, sd_d), log phi_g ~ N(mu_p, sd_p), and c_g,k ~ N(0, sd_c) for three cell lines
    against the fourth, N052611. Hyperpriors: mu_a N(4, 5), sd_a half-N(5), sd_d half-N(1), mu_p N(-2, 2),
    sd_p half-N(1), sd_c half-N(1), second arguments being standard deviations.

Data: GEO GSE52778 (Himes et al. 2014). d is about 67,000 without and 134,000 with cell effects.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.modelling.distributions.negative_binomial import NegativeBinomial, count_constant
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model
from workflows.modelling.subsets import all_or_some
from workflows.models.airway.checks import checks
from workflows.models.airway.dataset import load

CELL_LINES = ("N061011", "N61311", "N080611")
"""Cell lines with effects of their own; N052611 is the baseline."""


def airway(
    counts: jax.Array, constant: jax.Array, library: jax.Array, treated: jax.Array, cell: jax.Array | None = None
) -> None:
    """The NumPyro model.

    counts, constant: [sample, gene], constant = count_constant(counts). library, treated: [sample, 1].
    cell: [sample, 3], one where the sample is of that line; None leaves the cell effects out.
    """
    samples, genes = counts.shape
    mu_a = numpyro.sample("mu_a", dist.Normal(4.0, 5.0))
    sd_a = numpyro.sample("sd_a", dist.HalfNormal(5.0))
    sd_d = numpyro.sample("sd_d", dist.HalfNormal(1.0))
    mu_p = numpyro.sample("mu_p", dist.Normal(-2.0, 2.0))
    sd_p = numpyro.sample("sd_p", dist.HalfNormal(1.0))
    sd_c = None if cell is None else numpyro.sample("sd_c", dist.HalfNormal(1.0))
    with numpyro.plate("gene", genes):
        a = numpyro.sample("a", dist.Normal(mu_a, sd_a))
        d = numpyro.sample("d", dist.Normal(0.0, sd_d))
        phi = numpyro.sample("phi", dist.LogNormal(mu_p, sd_p))
        c = None if cell is None else numpyro.sample("c", dist.Normal(0.0, sd_c).expand([3]).to_event(1))
        rate, log_rate = _rates(a, d, library, treated)
        if c is not None and cell is not None:
            rate, log_rate = _with_cells(rate, log_rate, c, cell)
        with numpyro.plate("sample", samples):
            likelihood = NegativeBinomial(rate, phi, log_rate=log_rate, constant=constant)
            numpyro.sample("y", likelihood, obs=counts)


def _rates(a: jax.Array, d: jax.Array, library: jax.Array, treated: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(mean, log mean), both [sample, gene]; exponentials are taken per gene and per sample, not for each count."""
    drug = treated > 0
    log_rate = library + jnp.where(drug, a + d, a)
    return jnp.exp(library) * jnp.where(drug, jnp.exp(a + d), jnp.exp(a)), log_rate


def _with_cells(rate: jax.Array, log_rate: jax.Array, c: jax.Array, cell: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same with the effects c [gene, 3] of the cell lines added."""
    factor, shift = jnp.ones_like(rate), jnp.zeros_like(log_rate)
    for k in range(c.shape[-1]):
        line = cell[:, k : k + 1] > 0
        factor = jnp.where(line, jnp.exp(c[:, k]), factor)
        shift = jnp.where(line, c[:, k], shift)
    return rate * factor, log_rate + shift


def build(*, genes: int | str = "all", cells: bool = False) -> Model:
    """The model on all 22,369 kept genes, or on `genes` of them chosen with a fixed seed; with or without cell effects.

    Raises ModelError for other values.
    """
    if not isinstance(cells, bool):
        raise ModelError(f"airway: cells = {cells!r}; allowed are true and false")
    experiment = all_or_some(load, "airway", "genes", genes)
    data = {
        "counts": experiment.counts.astype(np.int32),
        "constant": np.asarray(jax.jit(count_constant)(experiment.counts)),
        "library": experiment.library[:, None],
        "treated": experiment.treated[:, None],
    }
    if cells:
        data["cell"] = np.stack([(experiment.cell_lines == line).astype(float) for line in CELL_LINES], axis=1)
    return numpyro_model(
        airway,
        data,
        name="airway",
        coords={"gene": experiment.genes, "sample": experiment.samples, "cell": np.array(CELL_LINES)},
        dims={"library": ("sample",), "treated": ("sample",)} | ({"c": ("cell",)} if cells else {}),
        constant={"library": experiment.library, "treated": experiment.treated},
        checks=checks(experiment.counts, experiment.library),
    )
