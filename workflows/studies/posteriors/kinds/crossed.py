"""Effects that cross: students and items."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.studies.posteriors.posterior import Built


def students() -> Built:
    """Answers of 100 students to 40 items: two crossed sets of effects, centred at 0 with unknown scales."""

    def model(student: jax.Array, item: jax.Array, right: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.Normal(0, 3))
        sd_student = numpyro.sample("sd_student", dist.HalfNormal(2))
        sd_item = numpyro.sample("sd_item", dist.HalfNormal(2))
        with numpyro.plate("students", 100):
            ability = numpyro.sample("ability", dist.Normal(0, sd_student))
        with numpyro.plate("items", 40):
            easiness = numpyro.sample("easiness", dist.Normal(0, sd_item))
        with numpyro.plate("answer", right.shape[0]):
            logit = mu + ability[student] + easiness[item]
            numpyro.sample("right", dist.Bernoulli(logits=logit), obs=right)

    rng = np.random.default_rng(601)
    student, item = (grid.ravel() for grid in np.meshgrid(np.arange(100), np.arange(40), indexing="ij"))
    logit = 0.5 + rng.normal(0, 1.0, 100)[student] + rng.normal(0, 1.3, 40)[item]
    return model, {"student": student, "item": item, "right": _answers(rng, logit)}


def raters() -> Built:
    """Scores of 100 subjects by 40 raters: normal crossed effects, of which 30% of the pairs were seen."""

    def model(subject: jax.Array, rater: jax.Array, score: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.Normal(0, 10))
        sd_subject = numpyro.sample("sd_subject", dist.HalfCauchy(2))
        sd_rater = numpyro.sample("sd_rater", dist.HalfCauchy(2))
        sigma = numpyro.sample("sigma", dist.HalfCauchy(2))
        with numpyro.plate("subjects", 100):
            quality = numpyro.sample("quality", dist.Normal(mu, sd_subject))
        with numpyro.plate("raters", 40):
            severity = numpyro.sample("severity", dist.Normal(0, sd_rater))
        with numpyro.plate("rating", score.shape[0]):
            numpyro.sample("score", dist.Normal(quality[subject] - severity[rater], sigma), obs=score)

    rng = np.random.default_rng(602)
    subject, rater = np.nonzero(rng.random((100, 40)) < 0.3)
    mean = 6 + rng.normal(0, 1.2, 100)[subject] - rng.normal(0, 0.5, 40)[rater]
    return model, {"subject": subject, "rater": rater, "score": mean + rng.normal(0, 0.8, subject.size)}


def item_response() -> Built:
    """Two-parameter logistic item response of 200 persons and 30 items."""

    def model(right: jax.Array) -> None:
        persons, items = right.shape
        mu_b = numpyro.sample("mu_b", dist.Normal(0, 2))
        sd_b = numpyro.sample("sd_b", dist.HalfNormal(2))
        sd_a = numpyro.sample("sd_a", dist.HalfNormal(1))
        with numpyro.plate("items", items, dim=-1):
            discrimination = numpyro.sample("discrimination", dist.LogNormal(0, sd_a))
            difficulty = numpyro.sample("difficulty", dist.Normal(mu_b, sd_b))
        with numpyro.plate("persons", persons, dim=-2):
            ability = numpyro.sample("ability", dist.Normal(0, 1))
            with numpyro.plate("items", items, dim=-1):
                logit = discrimination * (ability - difficulty)
                numpyro.sample("right", dist.Bernoulli(logits=logit), obs=right)

    rng = np.random.default_rng(603)
    logit = np.exp(rng.normal(0, 0.4, 30)) * (rng.normal(size=(200, 1)) - rng.normal(0.3, 1.0, 30))
    return model, {"right": _answers(rng, logit)}


def _answers(rng: np.random.Generator, logit: np.ndarray) -> np.ndarray:
    return (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(int)
