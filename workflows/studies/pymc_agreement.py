"""Three models of PyMC and Bambi, each sampled by maxwell and by pm.sample: the table of docs/pymc_and_bambi.md.

    python -m workflows.studies.pymc_agreement              # all three; or names: schools logistic slopes

z is the difference of two means in its standard errors, from ArviZ's ESS of each.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import arviz as az
import numpy as np

from workflows.sampling.session import sample

SEED = 1
SETTINGS: dict[str, Any] = {"seed": SEED, "progress": False}
WHOLE: dict[str, Any] = {"kernels": {"levels": {"whole": "nuts"}}}
"""All parameters in one block: for few parameters that depend on each other, as here."""


def schools() -> Any:
    """The eight schools, not centred (Rubin 1981; Gelman et al., Bayesian Data Analysis, section 5.5)."""
    import pymc as pm

    effects = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    errors = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    with pm.Model(coords={"school": list("ABCDEFGH")}) as model:
        mu, tau = pm.Normal("mu", 0, 5), pm.HalfCauchy("tau", 5)
        z = pm.Normal("z", dims="school")
        theta = pm.Deterministic("theta", mu + tau * z, dims="school")
        pm.Normal("y", theta, errors, observed=effects, dims="school")
    return model


def logistic() -> Any:
    """A logistic regression of 400 made-up people on three predictors."""
    import pymc as pm

    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    won = rng.random(400) < 1 / (1 + np.exp(-(0.5 + x @ [1.0, -0.5, 0.0])))
    with pm.Model(coords={"predictor": ["age", "height", "noise"]}) as model:
        alpha, beta = pm.Normal("alpha", 0, 2), pm.Normal("beta", 0, 2, dims="predictor")
        pm.Bernoulli("won", logit_p=alpha + x @ beta, observed=won.astype(int))
    return model


def slopes() -> Any:
    """Slopes that vary between 20 made-up counties, by a formula of Bambi."""
    import bambi as bmb
    import pandas as pd

    rng = np.random.default_rng(0)
    county, x = rng.integers(0, 20, 200), rng.normal(2, 1, 200)
    a, b = rng.normal(1, 0.7, 20), rng.normal(0.5, 0.4, 20)
    table = pd.DataFrame({"y": a[county] + b[county] * x + rng.normal(0, 0.5, 200), "x": x, "county": county})
    return bmb.Model("y ~ x + (x|county)", table, categorical="county")


MODELS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "schools": (schools, ("mu", "tau", "theta")),
    "logistic": (logistic, ("alpha", "beta")),
    "slopes": (slopes, ("Intercept", "x", "1|county_sigma", "x|county_sigma", "sigma")),
}
"""Name -> the model, and the variables that are compared."""


def theirs(model: Any) -> Any:
    """The posterior by pm.sample."""
    import pymc as pm

    options: dict[str, Any] = {"draws": 4000, "chains": 4, "target_accept": 0.95, "random_seed": SEED}
    if isinstance(model, pm.Model):
        with model:
            return pm.sample(**options, progressbar=False)
    return model.fit(**options, progressbar=False)


def compare(name: str) -> None:
    """Print the rows of a model."""
    make, variables = MODELS[name]
    model = make()
    seconds = [time.perf_counter()]
    run = sample(model, settings=WHOLE, goals={"ess": 4000}, **SETTINGS)
    seconds.append(time.perf_counter())
    reference = theirs(model)
    seconds.append(time.perf_counter())
    print(f"{name}: maxwell {seconds[1] - seconds[0]:.0f} s, pm.sample {seconds[2] - seconds[1]:.0f} s")
    tables = [az.summary(data, var_names=list(variables), round_to="none") for data in (run.data, reference)]
    ours, pymcs = tables
    print("| | maxwell | pm.sample | z |\n|---|---|---|---|")
    for row in ours.index:
        one, other = ours.loc[row], pymcs.loc[row]
        z = (one["mean"] - other["mean"]) / np.hypot(one["mcse_mean"], other["mcse_mean"])
        cells = [f"{table['mean']:.3f} ± {table['sd']:.3f}" for table in (one, other)]
        print(f"| {row.replace('|', chr(92) + '|')} | {' | '.join(cells)} | {z:+.1f} |")


def main(names: list[str]) -> None:
    """Compare the models of these names, all without any."""
    for name in names or MODELS:
        compare(name)


if __name__ == "__main__":
    main(sys.argv[1:])
