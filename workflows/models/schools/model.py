"""Effects of coaching on test scores in eight schools: a normal hierarchy with known standard errors.

    y_j ~ N(theta_j, s_j), theta_j ~ N(mu, tau), mu ~ N(0, 20), tau ~ half-Cauchy(10)

Data: Rubin (1981), Estimation in parallel randomized experiments, Journal of Educational Statistics 6, 377-401, table
1; as analysed by Gelman et al., Bayesian Data Analysis, third edition (2013), section 5.5. d is 10.
"""

import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model

SCHOOLS = tuple("ABCDEFGH")
EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
"""Estimated effect of coaching in each school, in points of the test."""
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
"""Standard errors of these."""


def schools(effects: np.ndarray, errors: np.ndarray) -> None:
    """The NumPyro model; effects, errors: [school]."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 20.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(10.0))
    with numpyro.plate("school", len(effects)):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.sample("y", dist.Normal(theta, errors), obs=effects)


def build() -> Model:
    """The model on the eight schools."""
    data = {"effects": np.array(EFFECTS), "errors": np.array(ERRORS)}
    return numpyro_model(schools, data, name="schools", coords={"school": np.array(SCHOOLS)})
