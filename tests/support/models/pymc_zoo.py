"""PyMC models of every kind that the front end is to read, small. Imported only where PyMC is."""

from collections.abc import Callable

import numpy as np
import pymc as pm
import pytensor.tensor as pt

RNG = np.random.default_rng(20)
SCHOOLS = {"school": list("ABCDEFGH")}
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
COUNTY = np.repeat(np.arange(6), 5)
X = RNG.normal(size=30)
Y = RNG.normal(size=30)


def eight_schools_centred() -> pm.Model:
    with pm.Model(coords=SCHOOLS) as model:
        mu, tau = pm.Normal("mu", 0, 5), pm.HalfCauchy("tau", 5)
        errors = pm.Data("errors", ERRORS, dims="school")
        theta = pm.Normal("theta", mu, tau, dims="school")
        pm.Normal("y", theta, errors, observed=EFFECTS, dims="school")
    return model


def eight_schools_noncentred() -> pm.Model:
    with pm.Model(coords=SCHOOLS) as model:
        mu, tau = pm.Normal("mu", 0, 5), pm.HalfNormal("tau", 5)
        z = pm.Normal("z", dims="school")
        theta = pm.Deterministic("theta", mu + tau * z, dims="school")
        pm.Normal("y", theta, ERRORS, observed=EFFECTS, dims="school")
    return model


def logistic() -> pm.Model:
    design = RNG.normal(size=(40, 3))
    with pm.Model(coords={"predictor": ["a", "b", "c"]}) as model:
        x = pm.Data("x", design, dims=("obs", "predictor"))
        alpha, beta = pm.Normal("alpha", 0, 2), pm.Normal("beta", 0, 2, dims="predictor")
        pm.Bernoulli("y", logit_p=alpha + x @ beta, observed=RNG.integers(0, 2, 40), dims="obs")
    return model


def varying_slopes() -> pm.Model:
    with pm.Model(coords={"county": range(6), "effect": ["intercept", "slope"]}) as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=2))
        z = pm.Normal("z", dims=("effect", "county"))
        b = pm.Deterministic("b", (chol @ z).T, dims=("county", "effect"))
        sigma = pm.Exponential("sigma", 1.0)
        pm.Normal("y", b[COUNTY, 0] + b[COUNTY, 1] * X, sigma, observed=Y)
    return model


def centred_slopes() -> pm.Model:
    with pm.Model(coords={"county": range(6), "effect": ["intercept", "slope"]}) as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=2))
        b = pm.MvNormal("b", pt.zeros(2), chol=chol, dims=("county", "effect"))
        pm.Normal("y", b[COUNTY, 0] + b[COUNTY, 1] * X, 1.0, observed=Y)
    return model


def gaussian_process() -> pm.Model:
    with pm.Model() as model:
        length, eta = pm.Gamma("length", 2, 1), pm.HalfNormal("eta", 2)
        gp = pm.gp.Marginal(cov_func=eta**2 * pm.gp.cov.ExpQuad(1, length))
        gp.marginal_likelihood("y", X=np.linspace(0, 3, 12)[:, None], y=Y[:12], sigma=pm.HalfNormal("sigma", 1))
    return model


def ordered() -> pm.Model:
    with pm.Model() as model:
        cut = pm.Normal("cut", np.array([-1.0, 0.0, 1.0]), 1, shape=3, transform=pm.distributions.transforms.ordered)
        slope = pm.Normal("slope", 0, 1)
        pm.OrderedLogistic("y", eta=slope * X, cutpoints=cut, observed=RNG.integers(0, 4, 30))
    return model


def simplex() -> pm.Model:
    with pm.Model(coords={"site": range(4), "species": list("xyz")}) as model:
        p = pm.Dirichlet("p", np.ones((4, 3)), dims=("site", "species"))
        counts = RNG.multinomial(20, [0.2, 0.3, 0.5], size=4)
        pm.Multinomial("y", 20, p, observed=counts, dims=("site", "species"))
    return model


def zero_inflated() -> pm.Model:
    with pm.Model() as model:
        psi, rate = pm.Beta("psi", 2, 2), pm.Gamma("rate", 2, 1)
        pm.ZeroInflatedPoisson("y", psi, rate, observed=RNG.poisson(2, 25) * RNG.integers(0, 2, 25))
    return model


def censored() -> pm.Model:
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0, 2), pm.HalfNormal("sigma", 2)
        values = np.clip(RNG.normal(0.5, 1.0, 25), -1, 1)
        pm.Censored("y", pm.Normal.dist(mu, sigma), lower=-1, upper=1, observed=values)
    return model


def potential() -> pm.Model:
    with pm.Model(coords={"area": range(5)}) as model:
        x = pm.Normal("x", 0, 1, dims="area")
        pm.Potential("smooth", -0.5 * (x[1:] - x[:-1]) ** 2)
        pm.Normal("y", x, 1, observed=Y[:5], dims="area")
    return model


def missing() -> pm.Model:
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.Normal("y", mu, 1, observed=np.ma.masked_array(Y[:6], mask=[0, 1, 0, 0, 1, 0]))
    return model


def mixture() -> pm.Model:
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(2))
        mu = pm.Normal("mu", np.array([-1.0, 1.0]), 1, shape=2)
        pm.NormalMixture("y", w, mu, 1.0, observed=Y)
    return model


def random_walk() -> pm.Model:
    with pm.Model(coords={"time": range(30)}) as model:
        step = pm.HalfNormal("step", 1)
        walk = pm.GaussianRandomWalk("walk", sigma=step, init_dist=pm.Normal.dist(0, 1), dims="time")
        pm.Normal("y", walk, 1, observed=Y, dims="time")
    return model


def autoregressive() -> pm.Model:
    with pm.Model(coords={"series": range(3), "time": range(10)}) as model:
        rho = pm.Uniform("rho", -1, 1)
        level = pm.AR("level", rho, sigma=1.0, init_dist=pm.Normal.dist(0, 1), dims=("series", "time"))
        pm.Normal("y", level, 1, observed=Y.reshape(3, 10), dims=("series", "time"))
    return model


def zero_sum() -> pm.Model:
    with pm.Model(coords={"party": list("abcd")}) as model:
        effect = pm.ZeroSumNormal("effect", sigma=2.0, dims="party")
        pm.StudentT("y", nu=4, mu=effect[np.arange(30) % 4], sigma=1, observed=Y)
    return model


def interval() -> pm.Model:
    with pm.Model() as model:
        p = pm.Uniform("p", 0, 1)
        pm.Binomial("y", 10, p, observed=[3, 4, 6])
    return model


def home_and_away() -> pm.Model:
    home, away = np.arange(12) % 4, (np.arange(12) + 1 + np.arange(12) // 4) % 4
    with pm.Model(coords={"team": list("abcd")}) as model:
        attack, defence = pm.Normal("attack", 0, 1, dims="team"), pm.Normal("defence", 0, 1, dims="team")
        pm.Poisson("goals", pt.exp(attack[home] - defence[away]), observed=RNG.poisson(1.5, 12))
    return model


def scaled() -> pm.Model:
    with pm.Model(check_bounds=False) as model:
        mu = pm.Normal("mu", 0, 1)
        pm.Normal("y", mu, 1, observed=Y, total_size=300)
    return model


ZOO: dict[str, Callable[[], pm.Model]] = {
    function.__name__: function
    for function in (
        eight_schools_centred,
        eight_schools_noncentred,
        logistic,
        varying_slopes,
        centred_slopes,
        gaussian_process,
        ordered,
        simplex,
        zero_inflated,
        censored,
        potential,
        missing,
        mixture,
        random_walk,
        autoregressive,
        zero_sum,
        interval,
        home_and_away,
        scaled,
    )
}
