"""Item response theory, one parameter a question: 400 students, 100 questions, 30,105 answers: d = 501.

mean ~ N(0.75, 1), ability_s ~ N(0, 1), difficulty_q ~ N(0, 1), answer_sq ~ Bernoulli(sigmoid(mean + ability_s -
difficulty_q)): the Inference Gym's SyntheticItemResponseTheory on data simulated here.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.numerics.special import log
from kernels.types import Data, Position, Terms
from workflows.modelling.frontends.function import SiteSpec, function_model
from workflows.modelling.model import Model

STUDENTS, QUESTIONS, ANSWERS = 400, 100, 30_105
_MEAN = 0.75
_SEED = 20240613


def simulate() -> np.ndarray:
    """Answers [400, 100]: 1 right, -1 wrong, 0 not given."""
    rng = np.random.default_rng(_SEED)
    ability, difficulty = rng.standard_normal(STUDENTS), rng.standard_normal(QUESTIONS)
    logits = _MEAN + ability[:, None] - difficulty
    answers = np.where(rng.uniform(size=logits.shape) < 1.0 / (1.0 + np.exp(-logits)), 1.0, -1.0)
    missing = rng.choice(answers.size, size=answers.size - ANSWERS, replace=False)
    answers.ravel()[missing] = 0.0
    return answers


def _log_terms(position: Position, data: Data) -> Terms:
    """The whole table at once: a quarter of it is empty, but gathering the rest costs more than computing it.

    log p = y l - log(1 + exp(l)), and exp(l) is a product of one exponential a student and one a question: it takes no
    exponential an answer, and overflows for logits l above 709 only.
    """
    mean, ability, difficulty = position["mean"], position["ability"], position["difficulty"]
    logits = (mean + ability)[:, None] - difficulty
    odds = jnp.exp(mean + ability)[:, None] * jnp.exp(-difficulty)
    return {
        "mean": -0.5 * (mean - _MEAN) ** 2,
        "ability": -0.5 * ability**2,
        "difficulty": -0.5 * difficulty**2,
        "answers": data["right"] * logits - data["given"] * log(1.0 + odds),
    }


def from_levels(position: Position) -> tuple[Position, jax.Array]:
    """The position whose three levels (all abilities up, all difficulties up, all logits up) are coordinates of their
    own in the argument, and the map's log Jacobian, 0.

    The data say much of the level of the logits and nothing of the other two, which only the priors hold. First
    elements of the sites are sqrt(n) times the means of abilities and difficulties, and `mean` the mean logit.
    """
    ability, difficulty = _reflect(position["ability"]), _reflect(position["difficulty"])
    mean = position["mean"] - ability.mean() + difficulty.mean()
    return {"mean": mean, "ability": ability, "difficulty": difficulty}, jnp.zeros(())


def _reflect(x: jax.Array) -> jax.Array:
    """Householder's reflection of x [n] that takes the first axis to the diagonal (1, ..., 1) / sqrt(n)."""
    normal = jnp.full(x.shape, len(x) ** -0.5).at[0].add(-1.0)
    return x - 2.0 * normal * (normal @ x) / (normal @ normal)


def _initial(key: jax.Array, data: Data) -> Position:
    """A draw from the prior."""
    normal = jax.random.normal(key, (1 + STUDENTS + QUESTIONS,), jnp.float64)
    return {"mean": _MEAN + normal[0], "ability": normal[1 : STUDENTS + 1], "difficulty": normal[STUDENTS + 1 :]}


def build() -> Model:
    """Sites mean [], ability [400] and difficulty [100]."""
    sites: dict[str, SiteSpec] = {
        "mean": (),
        "ability": ((STUDENTS,), ("student",)),
        "difficulty": ((QUESTIONS,), ("question",)),
    }
    answers = simulate()
    data = {"right": (answers > 0.0).astype(float), "given": np.abs(answers)}
    return function_model(_log_terms, sites, data, name="item_response", initial=_initial, likelihood=("answers",))
