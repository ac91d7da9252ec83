"""The model of heart-beat intervals: one subject with constant or varying noise, or many subjects of a population.

One subject, in units of the mean m and standard deviation s of its intervals:

    (alpha - m) / s ~ N(1, .5), beta / s ~ N(-2.5, .5) < 0, c ~ N(.8, .2) > 0, lambda, phi ~ N(-2, .5) < 0,
    tau, delta ~ N(5, .5) > 0, sigma / s ~ half-t_3, y ~ N(M(t), sigma).

Where the noise varies, sigma(t) has a curve of its own, with the same signs and wider priors:

    sigma_alpha / s ~ half-t_3, sigma_beta / s ~ half-N(.5) < 0, sigma_c ~ N(.8, .2) > 0,
    sigma_lambda, sigma_phi ~ N(-2, 1) < 0, sigma_tau, sigma_delta ~ N(4, 1.5) > 0.

Many subjects: the eight parameters of each are normal about population locations, cut to their sign. A location is
normal about the published population mean with the published standard deviation between subjects, a spread is
half-normal with that as its scale. Second arguments of N are standard deviations. alpha, beta and c of a subject are
sampled as heights (see there), which changes coordinates and not the law.
"""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model
from workflows.models.rri import checks, simulate
from workflows.models.rri.curve import Curve, mean
from workflows.models.rri.heights import LINEAR, Heights, linear
from workflows.models.rri.heights import NAMES as HEIGHTS
from workflows.models.rri.noise import FLOOR, deviation
from workflows.models.rri.published import MEANS, PARAMETERS, SDS, SIGNS, SUBJECTS
from workflows.models.rri.signed_normal import SignedNormal
from workflows.models.rri.starts import with_fitted_starts

FEWEST = 20
"""Intervals that a recording must have."""
NOISES = ("constant", "varying")


def single(t: jax.Array, y: jax.Array, center: jax.Array, spread: jax.Array, noise: str) -> None:
    """The NumPyro model of one subject. t, y: [N]; center, spread: mean and standard deviation of y."""
    alpha = numpyro.sample("alpha", dist.Normal(center + spread, 0.5 * spread))
    beta = numpyro.sample("beta", SignedNormal(-2.5 * spread, 0.5 * spread, -1))
    rest = (_signed(name, *prior) for name, prior in CURVE_PRIORS.items())
    curve = Curve(alpha, beta, *rest)
    sigma = _sigma(spread) if noise == "constant" else _varying_sigma(t, spread)
    with numpyro.plate("observation", t.shape[0]):
        numpyro.sample("y", dist.Normal(mean(curve, t), sigma), obs=y)


CURVE_PRIORS = {
    "c": (0.8, 0.2),
    "lambda": (-2.0, 0.5),
    "phi": (-2.0, 0.5),
    "tau": (5.0, 0.5),
    "delta": (5.0, 0.5),
}
"""Location and scale of the normal priors that need no standardised y; cut to the sign of the location."""

NOISE_PRIORS = {
    "sigma_c": (0.8, 0.2),
    "sigma_lambda": (-2.0, 1.0),
    "sigma_phi": (-2.0, 1.0),
    "sigma_tau": (4.0, 1.5),
    "sigma_delta": (4.0, 1.5),
}
"""The same for the curve of the noise."""


def _signed(name: str, location: float, scale: float) -> jax.Array:
    """A parameter of the location's sign."""
    return numpyro.sample(name, SignedNormal(location, scale, int(np.sign(location))))


def _sigma(spread: jax.Array, name: str = "sigma") -> jax.Array:
    """A standard deviation with the half-t prior."""
    return numpyro.sample(name, dist.FoldedDistribution(dist.StudentT(3.0, 0.0, spread)))


def _varying_sigma(t: jax.Array, spread: jax.Array) -> jax.Array:
    """sigma(t), [N]."""
    alpha = _sigma(spread, "sigma_alpha")
    beta = numpyro.sample("sigma_beta", SignedNormal(0.0, 0.5 * spread, -1))
    rest = (_signed(name, *prior) for name, prior in NOISE_PRIORS.items())
    return deviation(Curve(alpha, beta, *rest), FLOOR * spread, t)


def population(t: jax.Array, y: jax.Array) -> None:
    """The NumPyro model of many subjects. t: [N, 1]; y: [N, subjects]."""
    observations, subjects = y.shape
    with numpyro.plate("parameter", len(PARAMETERS)):
        location = numpyro.sample("location", dist.Normal(MEANS, SDS))
        spread = numpyro.sample("spread", dist.HalfNormal(SDS))
    laws = {
        name: SignedNormal(location[k], spread[k], sign)
        for k, (name, sign) in enumerate(zip(PARAMETERS, SIGNS.tolist(), strict=True))
    }
    with numpyro.plate("subject", subjects):
        *shape, sigma = (numpyro.sample(name, law) for name, law in laws.items() if name not in LINEAR)
        heights = Heights({name: laws[name] for name in LINEAR}, Curve(0.0, 0.0, 0.0, *shape))
        found = linear(numpyro.sample("heights", heights), heights.curve)
        curve = Curve(*(numpyro.deterministic(*pair) for pair in zip(LINEAR, found, strict=True)), *shape)
        with numpyro.plate("observation", observations):
            numpyro.sample("y", dist.Normal(mean(curve, t), sigma), obs=y)


def build(*, subjects: int = 1, observations: int = 1000, noise: str = "constant") -> Model:
    """The model on simulated recordings: of the example subject, or of the first `subjects` of 272.

    noise: "constant", or for one subject "varying". Raises ModelError for other values.
    """
    _check(subjects, observations, noise)
    if subjects == 1:
        return _one(simulate.example(observations, varying=noise == "varying"), noise)
    return _many(simulate.population(subjects, observations))


def _one(recording: simulate.Recording, noise: str) -> Model:
    """The model of one subject."""
    center, spread = float(recording.y.mean()), float(recording.y.std())
    return numpyro_model(
        single,
        {"t": recording.t, "y": recording.y, "center": center, "spread": spread, "noise": noise},
        name="rri",
        dims={"time": ("observation",)},
        constant={"time": recording.t},
        checks=checks.single(recording.t),
    )


def _many(recording: simulate.Recording) -> Model:
    """The model of many subjects."""
    model = numpyro_model(
        population,
        {"t": recording.t[:, None], "y": recording.y},
        name="rri",
        coords={
            "parameter": np.array(PARAMETERS),
            "subject": np.arange(1, recording.y.shape[1] + 1),
            "height": np.array(HEIGHTS),
        },
        dims={"time": ("observation",), "heights": ("height",)},
        constant={"time": recording.t},
        checks=checks.population(recording.t),
    )
    return with_fitted_starts(model)


def _check(subjects: int, observations: int, noise: str) -> None:
    """Raise ModelError for settings that make no model, all that is wrong at once."""
    wrong = []
    if not _whole(subjects) or not 1 <= subjects <= SUBJECTS:
        wrong.append(f"subjects = {subjects!r}; allowed is a whole number from 1 to {SUBJECTS}")
    if not _whole(observations) or observations < FEWEST:
        wrong.append(f"observations = {observations!r}; allowed is a whole number from {FEWEST}")
    if noise not in NOISES:
        wrong.append(f"noise = {noise!r}; allowed are {' and '.join(NOISES)}")
    elif noise == "varying" and subjects != 1:
        wrong.append(f"noise = varying with subjects = {subjects!r}; of many subjects the noise is constant")
    if wrong:
        raise ModelError("rri: " + "; ".join(wrong))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
