"""Counts of reads of genes in samples, and how they depend on a design: the NumPyro model.

    y_gs ~ NegBinomial(mean = exp(o_s + sum_k X_sk b_gk), variance = mean + phi_g mean^2)
    b_g0 ~ N(mu_a, sd_a)                         the intercept (X_s0 = 1)
    b_gk ~ Student t(nu_k, 0, sd_k), tapered     every other column: most genes hardly move, a few very much
    log phi_g ~ N(log(alpha_0 + alpha_1 / mean_g), sd_p)
    mean_g = exp(b_g0 + mean of o_s + sum_k (mean over s of X_sk) b_gk)

o: log size factors, fixed. Hyperpriors: mu_a N(4, 5), sd_a half-N(5), sd_k half-N(1), nu_k Gamma(2, rate .1) above 1,
sd_p half-N(1), log alpha_0 N(-3, 2), log alpha_1 N(1, 2), second arguments of N being standard deviations.

A normal law for the effects hides large ones: with sd near .2 a gene that changes 20-fold is cheaper to explain by a
huge dispersion. A t of few degrees of freedom alone believes anything: where all counts of a group are 0, the effect
would have a posterior without a variance. So it is tapered by a normal law of sd 4: an e^4-fold (55-fold) change costs
half a unit of log density, an e^8-fold one (3,000-fold) two. The trend of the dispersion is that of DESeq2 (Love, Huber
and Anders 2014), whose asymptDisp and extraPois are alpha_0 and alpha_1. Effects are natural logarithms: log2 fold
changes are effect / log 2.
"""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from kernels.numerics.special import materialised
from workflows.modelling.distributions.negative_binomial import NegativeBinomial
from workflows.modelling.distributions.tapered_t import TaperedT
from workflows.models.genes.priors import DegreesOfFreedom

Array = jax.Array

TAPER = 4.0
"""Of the effects' tails, in natural logarithms of fold changes."""


def genes(
    counts: Array,
    constant: Array,
    log_size: Array,
    rows: Array,
    centre: Array,
    row_of: Array | None = None,
) -> None:
    """The NumPyro model; K columns of the design beside the intercept, R different rows.

    counts, constant: [sample, gene], constant = count_constant(counts). log_size: [sample]. rows: [R, K] different rows
    of the design without the intercept. centre: [K] mean of the design over the samples. row_of: [sample] row of each
    sample; None where every sample has its own, in order.
    """
    samples, number = counts.shape
    columns = centre.shape[0]
    intercept_mean = numpyro.sample("intercept_mean", dist.Normal(4.0, 5.0))
    intercept_sd = numpyro.sample("intercept_sd", dist.HalfNormal(5.0))
    effect_sd = numpyro.sample("effect_sd", dist.HalfNormal(1.0).expand([columns]).to_event(1))
    effect_df = numpyro.sample("effect_df", DegreesOfFreedom().expand([columns]).to_event(1))
    floor = numpyro.sample("dispersion_floor", dist.LogNormal(-3.0, 2.0))
    slope = numpyro.sample("dispersion_slope", dist.LogNormal(1.0, 2.0))
    dispersion_sd = numpyro.sample("dispersion_sd", dist.HalfNormal(1.0))
    with numpyro.plate("gene", number):
        intercept = numpyro.sample("intercept", dist.Normal(intercept_mean, intercept_sd))
        effect = numpyro.sample("effect", TaperedT(effect_df, effect_sd, TAPER).to_event(1))
        log_mean = intercept + jnp.mean(log_size) + _predictor(centre[None, :], effect)[0]
        trend = jnp.log(floor + slope * jnp.exp(-log_mean))
        dispersion = numpyro.sample("dispersion", dist.LogNormal(trend, dispersion_sd))
        log_rate = materialised(intercept + _predictor(rows, effect))
        rate = materialised(jnp.exp(log_rate))
        if row_of is not None:
            log_rate, rate = log_rate[row_of], rate[row_of]
        with numpyro.plate("sample", samples):
            size = log_size[:, None]
            likelihood = NegativeBinomial(jnp.exp(size) * rate, dispersion, log_rate=size + log_rate, constant=constant)
            numpyro.sample("counts", likelihood, obs=counts)


def _predictor(rows: Array, effect: Array) -> Array:
    """[R, gene] of rows [R, K] and effects [gene, K]; a sum written out, which joins with what reads it."""
    terms = [rows[:, k, None] * effect[:, k] for k in range(rows.shape[1])]
    return sum(terms[1:], start=terms[0])
