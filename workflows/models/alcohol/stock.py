"""Counts of drinks as sums over the true counts behind each, with a normal propensity for each of 2,000 people.

The propensities' own parts are sd_person z, z ~ N(0, 1), which NUTS explores more easily than the parts themselves.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.modelling.stock import Stock
from workflows.models.alcohol.dataset import load
from workflows.models.alcohol.heaping import GRIDS, LARGEST
from workflows.models.alcohol.model import GROUPS

PEOPLE = 2000
NAMES = (*GROUPS, "age")
SCALARS = ("mu", *(f"sd_{name}" for name in NAMES), "sd_person")
PRIOR_MEANS = dict.fromkeys(GROUPS, 0.5) | {"age": 0.25, "person": 1.0}
"""Of the standard deviations."""


def model(
    groups: dict[str, jax.Array], sizes: dict[str, int], answered: jax.Array, true: jax.Array, ways: jax.Array
) -> None:
    """groups: [person] category of every group. answered: [respondent] people. true: [respondent, T] the counts that
    may lie behind an answer. ways: [W, respondent, T] in which ways of reporting they do, 0 or 1."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    sd = {name: numpyro.sample(f"sd_{name}", dist.Gamma(2.0, 2.0 / mean)) for name, mean in PRIOR_MEANS.items()}
    weights = numpyro.sample("reporting", dist.Dirichlet(2.0 * jnp.ones(len(ways))))
    effects = {
        name: numpyro.sample(f"effect_{name}", dist.ZeroSumNormal(sd[name], event_shape=(sizes[name],)))
        for name in GROUPS
    }
    step = numpyro.sample("step_age", dist.Normal(0.0, sd["age"]).expand([sizes["age"] - 1]).to_event(1))
    walk = jnp.cumsum(jnp.pad(step, (1, 0)))
    effects["age"] = numpyro.deterministic("effect_age", walk - jnp.mean(walk))
    with numpyro.plate("person", groups["age"].shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
    deviation = numpyro.deterministic("deviation", sd["person"] * z)
    propensity = mu + deviation + sum(effects[name][groups[name]] for name in NAMES)
    beyond_first = dist.Poisson(jnp.exp(propensity[answered])[:, None]).log_prob(true - 1)
    reported = jnp.einsum("w,wnt->nt", weights, ways)
    numpyro.factor("y", jnp.sum(jax.nn.logsumexp(beyond_first, axis=1, b=reported)))


def behind(drinks: np.ndarray, grids: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """For answers [n]: the true counts behind each, [n, T], padded with 1, and in which ways they are, [W, n, T]."""
    counts = np.arange(1, LARGEST + 1)
    # argmin takes the first of equals: with the grid turned round, the greater one.
    seen = np.stack([counts, *(grid[::-1][np.abs(counts[:, None] - grid[::-1]).argmin(axis=1)] for grid in grids)])
    possible = seen[:, None, :] == drinks[None, :, None]
    rows = [np.flatnonzero(possible[:, person].any(axis=0)) for person in range(drinks.size)]
    width = max(row.size for row in rows)
    true = np.ones((drinks.size, width), int)
    ways = np.zeros((len(seen), drinks.size, width))
    for person, row in enumerate(rows):
        true[person, : row.size] = counts[row]
        ways[:, person, : row.size] = possible[:, person, row]
    return true, ways


def stock() -> Stock:
    """The model on the data of configs/alcohol_small.yaml."""
    return _stock(GRIDS)


def without_words() -> Stock:
    """That of configs/alcohol_plain.yaml."""
    return _stock(GRIDS[:-1])


def _stock(grids: tuple[np.ndarray, ...]) -> Stock:
    survey = load(PEOPLE)
    answered = np.flatnonzero(survey.known)
    true, ways = behind(survey.drinks[answered], grids)
    groups = {name: jnp.asarray(survey.groups[name]) for name in NAMES}
    sizes = {name: len(survey.categories[name]) for name in NAMES}
    sites = (*SCALARS, "reporting", *(f"effect_{name}" for name in NAMES), "deviation")
    arguments = (groups, sizes, jnp.asarray(answered), jnp.asarray(true), jnp.asarray(ways))
    return Stock(model, arguments, sites, lambda chain: _start(chain, sizes, len(ways)))


def _start(chain: int, sizes: dict[str, int], ways: int) -> dict[str, np.ndarray]:
    """Scales from a third of their prior means to three times them, small effects, exact reporting favoured or not."""
    rng = np.random.default_rng(300 + chain)
    scales = {f"sd_{name}": np.asarray(mean * 3.0 ** rng.uniform(-1.0, 1.0)) for name, mean in PRIOR_MEANS.items()}
    effects = {f"effect_{name}": 0.1 * rng.standard_normal(sizes[name]) for name in GROUPS}
    return (
        scales
        | {name: effect - effect.mean() for name, effect in effects.items()}
        | {
            "mu": np.asarray(rng.standard_normal()),
            "reporting": rng.dirichlet(2.0 * np.ones(ways)),
            "step_age": 0.05 * rng.standard_normal(sizes["age"] - 1),
            "z": rng.standard_normal(PEOPLE),
        }
    )
