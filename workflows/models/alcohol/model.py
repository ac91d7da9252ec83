"""Drinks per drinking day: a propensity for every person, pooled over groups of people, and counts that heap.

    y_i ~ heaped counts given x_i                       exp(x) drinks beyond the first (see heaping.py)
    x_i = mu + region + sex + education + ethnicity + marital status + age group of person i + u_i
    u_i ~ N(0, sd_person)                               x_i is the propensity of person i, u_i its own part
    each effect ~ N(0, sd of its group), summing to zero over the group's categories
    age: step_g ~ N(0, sd_age) from each age group to the next, their sum centred to a mean of zero
    (w_0, .., w_3) ~ Dirichlet(2, 2, 2, 2)              ways of reporting: exact, half dozens, round numbers, words

Hyperpriors: mu N(0, 1), second argument a standard deviation; the sd of a group Gamma(2) of mean .5, sd_age of mean
.25, sd_person of mean 1. Their densities are 0 at 0 and say little elsewhere (Chung, Rabe-Hesketh, Dorie, Gelman and
Liu 2013): with half-normal ones, a start that saw no difference between the sexes stayed in the neck of a funnel.

Identifiability: without a constraint the data see mu plus the mean effect of every group, and only priors tell these
seven numbers apart. Effects that sum to zero leave nothing to tell apart: mu is the mean over all combinations of
categories, each counted once, whatever their numbers of people. One effect tells little of the sd of the two sexes: its
posterior is near its prior, which is honest.

Age is both grouped and smooth: five years are fine enough for a curve that falls by about .03 a year, and a random walk
of the groups lets the few people above 80 learn from their neighbours, which exchangeable effects would not.

The sites are the deviations u, not the propensities: sd_person then scales all of them in one move, and a start with an
sd near 0 finds out. With propensities as sites it stays there for ever, for they and their sd hold each other.

A person whose count is not known has no likelihood term: the propensity is drawn from its prior given the groups, and
the count follows from it: `maxwell export` draws these counts (group predictions). Nobody is left out.

Data: NESARC wave 1 (workflows/models/alcohol/data). d is about 27,000.
"""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from kernels.numerics.special import materialised
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model
from workflows.modelling.subsets import all_or_some
from workflows.models.alcohol.checks import checks
from workflows.models.alcohol.dataset import load
from workflows.models.alcohol.heaping import WAYS, HeapedCounts, Tables, tables, true_counts

GROUPS = ("region", "sex", "education", "ethnicity", "marital")
"""Groups whose effects are exchangeable; age, the sixth, has an order."""
FIRST = 4
"""Groups in the first of two tables of combinations."""


def alcohol(
    drinks: jax.Array,
    known: Tables,
    answered: jax.Array,
    combinations: tuple[jax.Array, jax.Array],
    **categories: int,
) -> None:
    """The NumPyro model.

    drinks: [respondent] reported counts, known: their tables, answered: [respondent] which people they are.
    combinations: [person] indices into the tables of all combinations of the categories of the first four groups and of
    the last two. categories: their numbers, by group, age among them.
    """
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    effects = [*(_effect(name, categories[name]) for name in GROUPS), _age_effect(categories["age"])]
    sd_person = _sd("person", 1.0)
    weights = numpyro.sample("reporting", dist.Dirichlet(jnp.full(known.near.own.shape[0], 2.0)))
    with numpyro.plate("person", combinations[0].shape[0]):
        deviation = numpyro.sample("deviation", dist.Normal(0.0, sd_person))
    propensity = mu + deviation
    # Two small tables instead of six: fewer look-ups for every person.
    for index, part in zip(combinations, (effects[:FIRST], effects[FIRST:]), strict=True):
        propensity = propensity + materialised(_all_sums(part))[index]
    numpyro.deterministic("propensity", propensity)
    with numpyro.plate("respondent", drinks.shape[0]):
        numpyro.sample("y", HeapedCounts(propensity[answered], weights, known=known), obs=drinks)


def _sd(name: str, mean: float) -> jax.Array:
    """A standard deviation of that prior mean."""
    return numpyro.sample(f"sd_{name}", dist.Gamma(2.0, 2.0 / mean))


def _effect(name: str, size: int) -> jax.Array:
    """Effects of the categories of a group, summing to zero."""
    sd = _sd(name, 0.5)
    return numpyro.sample(f"effect_{name}", dist.ZeroSumNormal(sd, event_shape=(size,)))


def _age_effect(size: int) -> jax.Array:
    """Effects of the age groups: a random walk about its mean."""
    sd = _sd("age", 0.25)
    step = numpyro.sample("step_age", dist.Normal(0.0, sd).expand([size - 1]).to_event(1))
    walk = jnp.concatenate([jnp.zeros(1), jnp.cumsum(step)])
    return numpyro.deterministic("effect_age", walk - walk.mean())


def _all_sums(effects: list[jax.Array]) -> jax.Array:
    """Sum of the effects for every combination of their categories, the last running fastest: [product of sizes]."""
    total = jnp.zeros(1)
    for effect in effects:
        total = (total[:, None] + effect).ravel()
    return total


def build(*, people: int | str = "all", words: bool = True) -> Model:
    """The model of all 26,946 people, or of `people` of them chosen with a fixed seed.

    words: whether some report in words (see heaping); without them the counts of 1 and 2 are missed. Raises ModelError
    for other values.
    """
    if not isinstance(words, bool):
        raise ModelError(f"alcohol: words = {words!r}; allowed are true and false")
    ways = WAYS if words else WAYS[:-1]
    survey = all_or_some(load, "alcohol", "people", people)
    answered, silent = np.flatnonzero(survey.known), np.flatnonzero(~survey.known)
    drinks = survey.drinks[answered]
    names = (*GROUPS, "age")
    sizes = {name: len(survey.categories[name]) for name in names}
    data = {
        "drinks": drinks.astype(np.int32),
        "known": tables(drinks, len(ways)),
        "answered": answered.astype(np.int32),
        "combinations": tuple(
            np.ravel_multi_index(
                tuple(survey.groups[name] for name in part), tuple(sizes[name] for name in part)
            ).astype(np.int32)
            for part in (names[:FIRST], names[FIRST:])
        ),
    }
    labels = survey.categories["age"]
    steps = np.array([f"{before} to {after}" for before, after in pairwise(labels)])
    return numpyro_model(
        alcohol,
        data | sizes,
        name="alcohol",
        coords={name: survey.categories[name] for name in names}
        | {
            "age_step": steps,
            "way": np.array(ways),
            "person": survey.people,
            "respondent": survey.people[answered],
            "nonrespondent": survey.people[silent],
        },
        dims={f"effect_{name}": (name,) for name in names}
        | {"propensity": ("person",)}
        | {"step_age": ("age_step",), "reporting": ("way",)}
        | {f"{name}_of_person": ("person",) for name in names}
        | {"y_unknown": ("nonrespondent",)},
        constant={f"{name}_of_person": survey.groups[name] for name in names},
        impute={"y_unknown": lambda key, values, data: true_counts(key, values["propensity"][silent])},
        checks=checks(survey, answered),
    )
