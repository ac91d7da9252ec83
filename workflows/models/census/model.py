"""Incomes of workers in areas in states: a hierarchical regression on education and experience.

    y_i = b_a(i) . (1, e_i, x_i, x_i^2 - 1) + sigma t_i           log weekly income of worker i in area a(i)
    e = (years of education - 13) / 2, x = (years of experience - 24) / 10
    b_a = s_state(a) + D L z_a,  z_a ~ N(0, I_4)                  four coefficients of an area about its state's
    s_g,k ~ N(mu_k, sd_state_k)                                   those of a state about the country's

D = diag(sd_area_1 .. sd_area_4); L is the Cholesky factor of the correlation of the coefficients within an area, with
an LKJ(2) prior (Lewandowski, Kurowicka and Joe 2009), or the identity. Hyperpriors: mu N(6.5, 1) for the intercept and
N(0, .5) for the others, sigma half-N(1), second arguments being standard deviations; sd_state and sd_area Gamma(2) of
mean .25, which keeps off 0, where hierarchies have funnels (Chung, Rabe-Hesketh, Dorie, Gelman and Liu 2013);
nu ~ Gamma(2, rate .1) (Juarez and Steel 2010).

Units: the coefficients are changes of log income for two years of education (about one standard deviation), for ten
years of experience, and for the square of tens of years from 24. All covariates are about 0 on average, so that the
intercept is the mean log income where education is 13 years.

t_i is Student's t with nu degrees of freedom, or normal. The data ask for the former: the residuals of a plain
regression have a kurtosis of 10.5 (3 for a normal) and lie up to 12 standard deviations out.

Parametrisation: states are centred, for each has hundreds of workers; areas are not, for 15 workers tell so little of
four coefficients that their scales and correlations, given the coefficients, would hardly move: on 100 areas the
smallest ESS with centred areas was a tenth, of the sd_area and the correlations. An area with a single worker stays in:
it gets its state's coefficients, with the spread that its worker leaves.

Data: US Census 2000 (workflows/models/census/data). d is about 8,300.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from kernels.numerics.special import materialised
from workflows.modelling.distributions.student_t import StudentT
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model
from workflows.modelling.subsets import all_or_some
from workflows.models.census.checks import checks
from workflows.models.census.dataset import load

COEFFICIENTS = ("intercept", "education", "experience", "experience2")

CENTRE_EDUCATION, UNIT_EDUCATION = 13.0, 2.0
CENTRE_EXPERIENCE, UNIT_EXPERIENCE = 24.0, 10.0
"""Years; the means over all workers are 13.27 and 23.72, the standard deviations 1.78 and 10.32."""

RESIDUALS = ("student", "normal")


def census(
    log_income: jax.Array,
    covariates: jax.Array,
    area: jax.Array,
    state: jax.Array,
    states: int,
    correlated: bool,
    student: bool,
) -> None:
    """The NumPyro model.

    log_income: [worker]. covariates: [4, worker], see `covariates_of`. area: [worker] index. state: [area] index.
    states: how many there are. correlated: whether an area's coefficients are. student: the residuals' law.
    """
    areas = state.shape[0]
    mean = [_mean(name) for name in COEFFICIENTS]
    sd_state = [numpyro.sample(f"sd_state_{name}", dist.Gamma(2.0, 8.0)) for name in COEFFICIENTS]
    sd_area = jnp.stack([numpyro.sample(f"sd_area_{name}", dist.Gamma(2.0, 8.0)) for name in COEFFICIENTS])
    factor = jnp.eye(len(COEFFICIENTS))
    if correlated:
        factor = numpyro.sample("cholesky", dist.LKJCholesky(len(COEFFICIENTS), 2.0))
        numpyro.deterministic("correlation", factor @ factor.T)
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    nu = numpyro.sample("nu", dist.Gamma(2.0, 0.1)) if student else None
    with numpyro.plate("state", states):
        of_state = [
            numpyro.sample(f"state_{name}", dist.Normal(mean[k], sd_state[k])) for k, name in enumerate(COEFFICIENTS)
        ]
    with numpyro.plate("area", areas):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([len(COEFFICIENTS)]).to_event(1))
    # Written once: else computed anew for every worker.
    of_area = materialised(jnp.stack(of_state)[:, state] + (sd_area[:, None] * factor) @ z.T)
    numpyro.deterministic("coefficients", of_area.T)
    with numpyro.plate("worker", log_income.shape[0]):
        parts = (covariates[k] * of_area[k, area] for k in range(len(COEFFICIENTS)))
        expected = sum(parts, start=jnp.zeros(()))
        residual = dist.Normal(expected, sigma) if nu is None else StudentT(nu, expected, sigma)
        numpyro.sample("y", residual, obs=log_income)


def _mean(name: str) -> jax.Array:
    """The country's coefficient of that name."""
    prior = dist.Normal(6.5, 1.0) if name == "intercept" else dist.Normal(0.0, 0.5)
    return numpyro.sample(f"mu_{name}", prior)


def covariates_of(education: np.ndarray, experience: np.ndarray) -> np.ndarray:
    """(1, e, x, x^2 - 1), [4, worker], of years of education and experience."""
    e = (education - CENTRE_EDUCATION) / UNIT_EDUCATION
    x = (experience - CENTRE_EXPERIENCE) / UNIT_EXPERIENCE
    return np.stack([np.ones_like(e), e, x, x**2 - 1.0])


def build(*, areas: int | str = "all", correlated: bool = True, residual: str = "student") -> Model:
    """The model on all 2,024 areas, or on `areas` of them chosen with a fixed seed; with or without correlations.

    Raises ModelError for other values.
    """
    if not isinstance(correlated, bool):
        raise ModelError(f"census: correlated = {correlated!r}; allowed are true and false")
    if residual not in RESIDUALS:
        raise ModelError(f"census: residual = {residual!r}; allowed are {' and '.join(RESIDUALS)}")
    workers = all_or_some(load, "census", "areas", areas)
    data = {
        "log_income": workers.log_income,
        "covariates": covariates_of(workers.education, workers.experience),
        "area": workers.area.astype(np.int32),
        "state": workers.state.astype(np.int32),
        "states": len(workers.states),
        "correlated": correlated,
        "student": residual == "student",
    }
    names = np.array(COEFFICIENTS)
    correlation = {name: ("coefficient", "other_coefficient") for name in ("cholesky", "correlation")}
    return numpyro_model(
        census,
        data,
        name="census",
        coords={
            "area": workers.areas,
            "state": workers.states,
            "coefficient": names,
            "other_coefficient": names,
        },
        dims={
            "z": ("coefficient",),
            "coefficients": ("area", "coefficient"),
            "education": ("worker",),
            "experience": ("worker",),
            "area_of_worker": ("worker",),
            "state_of_area": ("area",),
        }
        | (correlation if correlated else {}),
        constant={
            "education": workers.education,
            "experience": workers.experience,
            "area_of_worker": workers.area,
            "state_of_area": workers.state,
        },
        checks=checks(workers.state[workers.area], workers.states),
    )
