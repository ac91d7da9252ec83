"""The model of heart-beat intervals: its curve and gradients, its mirror images, simulated data, structure, density."""

import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from kernels.structure.discovery import discover
from workflows.modelling.errors import ModelError
from workflows.modelling.fingerprint import fingerprint
from workflows.modelling.registry import build
from workflows.models.rri import curve as curves
from workflows.models.rri import heights, mirrors, noise, polish, simulate
from workflows.models.rri.curve import Curve
from workflows.models.rri.published import (
    EXAMPLE,
    EXAMPLE_NOISE,
    EXAMPLE_SIGMA,
    MEANS,
    PARAMETERS,
    SDS,
    SIGNS,
    SUBJECTS,
)
from workflows.models.rri.signed_normal import SignedNormal

RECORDING = simulate.example(200, varying=False)
T, Y = jnp.asarray(RECORDING.t), jnp.asarray(RECORDING.y)
CURVES = [EXAMPLE, Curve(*MEANS[:7]), Curve(-5.0, 20.0, -0.3, 4.0, 0.7, -2.0, -8.0)]


def plain_mean(curve: Curve, t: np.ndarray) -> np.ndarray:
    """M(t) as it is printed, in NumPy."""
    alpha, beta, c, rate, phi, tau, delta = curve
    return alpha + beta / (1 + np.exp(rate * (t - tau))) - c * beta / (1 + np.exp(phi * (t - tau - delta)))


def stacked(tree: object) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("curve", CURVES)
def test_the_mean_is_the_printed_formula(curve: Curve) -> None:
    np.testing.assert_allclose(curves.mean(curve, T), plain_mean(curve, RECORDING.t), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("curve", CURVES)
def test_partials_of_the_mean_by_hand_are_the_automatic_ones(curve: Curve) -> None:
    point = Curve(*map(jnp.asarray, curve))
    automatic = jax.jacfwd(curves.mean)(point, T)
    for name, hand, found in zip(curves.NAMES, curves.partials(point, T), automatic, strict=True):
        np.testing.assert_allclose(hand, found, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("curve", CURVES)
def test_gradient_of_the_log_likelihood_by_hand_is_the_automatic_one(curve: Curve) -> None:
    point, sigma = Curve(*map(jnp.asarray, curve)), jnp.asarray(EXAMPLE_SIGMA)
    automatic = jax.grad(curves.log_likelihood, argnums=(0, 1))(point, sigma, T, Y)
    hand = curves.log_likelihood_partials(point, sigma, T, Y)
    np.testing.assert_allclose(stacked(hand), stacked(automatic), rtol=1e-9)


def test_gradient_with_varying_noise_by_hand_is_the_automatic_one() -> None:
    """Where the noise curve is positive, and where it is bent off."""
    for shift in (0.0, -11.0):
        point = Curve(*map(jnp.asarray, EXAMPLE))
        spread = Curve(*map(jnp.asarray, EXAMPLE_NOISE))._replace(alpha=jnp.asarray(EXAMPLE_NOISE.alpha + shift))
        automatic = jax.grad(noise.log_likelihood, argnums=(0, 1))(point, spread, 1.0, T, Y)
        hand = noise.log_likelihood_partials(point, spread, 1.0, T, Y)
        np.testing.assert_allclose(stacked(hand), stacked(automatic), rtol=1e-9)


@pytest.mark.parametrize("far", [1e3, -1e3, 1e6])
def test_nothing_overflows_far_from_tau(far: float) -> None:
    """|t - tau| = 1,000 minutes and slopes of thousands: exponents of a million. The textbook's form is NaN there."""
    point = Curve(*map(jnp.asarray, EXAMPLE))._replace(rate=jnp.asarray(-1e3), phi=jnp.asarray(-2e3))
    t = jnp.asarray([EXAMPLE.tau + far, EXAMPLE.tau - far])
    y = jnp.asarray([700.0, 700.0])
    sigma = jnp.asarray(10.0)
    for found in (
        curves.mean(point, t),
        curves.partials(point, t),
        curves.log_likelihood_partials(point, sigma, t, y),
        jax.grad(curves.log_likelihood, argnums=(0, 1))(point, sigma, t, y),
    ):
        assert np.isfinite(stacked(found)).all()
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(-1e3 * np.array([far, -far]))
        assert np.isnan(e / (1 + e) ** 2).any()


def test_the_sixteen_images_share_one_likelihood_and_the_constraints_leave_one() -> None:
    images = list(mirrors.mirrors(EXAMPLE, EXAMPLE_SIGMA))
    assert len({tuple(np.round([*curve, sigma], 9)) for curve, sigma in images}) == 16
    expected = float(curves.log_likelihood(EXAMPLE, EXAMPLE_SIGMA, T, Y))
    for curve, sigma in images:
        assert float(curves.log_likelihood(curve, sigma, T, Y)) == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(curves.mean(curve, T), curves.mean(EXAMPLE, T), rtol=1e-12)
    assert [mirrors.allowed(curve, sigma) for curve, sigma in images] == [True] + 15 * [False]


def test_without_constraints_searches_end_in_different_images() -> None:
    """From starts near four of the images, the same search for the largest likelihood finds as many optima, equally
    high, and the mean of their parameters is thousands of nats below: no curve at all. With the model's constraints, in
    the logarithms of the parameters, starts at the same distance from zero reach the one optimum that is allowed."""
    images = list(mirrors.mirrors(EXAMPLE, EXAMPLE_SIGMA))[:16:5]
    free = [climb(np.array([*curve, sigma]), lambda x: x, 0.01 * np.abs([*curve, sigma])) for curve, sigma in images]
    heights = [height for _, height in free]
    assert np.ptp(heights) < 1e-3
    assert len({tuple(np.sign(found)) for found, _ in free}) == 4
    average = np.mean([found for found, _ in free], axis=0)
    assert height_at(average) < heights[0] - 1000.0
    held = [
        climb(np.log(np.abs([*curve, sigma])), lambda x: jnp.asarray(SIGNS) * jnp.exp(x), np.full(8, 0.01))
        for curve, sigma in images[:2]
    ]
    for found, height in held:
        assert mirrors.allowed(Curve(*found[:7]), found[7])
        assert height == pytest.approx(heights[0], abs=1e-3)


def height_at(x: np.ndarray) -> float:
    return float(curves.log_likelihood(Curve(*x[:7]), x[7], T, Y))


def climb(
    start: np.ndarray, parameters: Callable[[jax.Array], jax.Array], scale: np.ndarray
) -> tuple[np.ndarray, float]:
    """The parameters of largest likelihood that a quasi-Newton search in units of `scale` finds, and their height."""

    def value(u: jax.Array) -> jax.Array:
        x = parameters(jnp.asarray(start) + scale * u)
        return -curves.log_likelihood(Curve(*x[:7]), x[7], T, Y)

    both = jax.jit(jax.value_and_grad(value))
    result = scipy.optimize.minimize(
        lambda u: tuple(np.asarray(v, float) for v in both(u)),
        np.full(8, 0.5),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-6, "maxiter": 2000},
    )
    found = np.asarray(parameters(jnp.asarray(start + scale * result.x)))
    return found, height_at(found)


def test_the_population_has_the_published_moments_and_signs() -> None:
    """Against the moments of normals cut to their sign; 5 standard errors of a mean, and 6 of a standard deviation
    (sd / sqrt(n), which is more than that of a normal): false alarms below 1e-6 each."""
    truth = simulate.population_truth()
    for name, mean, sd, sign in zip(PARAMETERS, MEANS, SDS, SIGNS, strict=True):
        values = truth[name]
        assert values.shape == (SUBJECTS,)
        assert np.all(values * sign > 0)
        cut = scipy.stats.truncnorm(-sign * mean / sd, np.inf, loc=sign * mean, scale=sd)
        assert abs(np.mean(values) * sign - cut.mean()) < 5 * cut.std() / np.sqrt(SUBJECTS)
        assert abs(np.std(values) - cut.std()) < 6 * cut.std() / np.sqrt(SUBJECTS)


def test_fewer_subjects_are_the_first_of_all_and_data_are_always_the_same() -> None:
    few, more = simulate.population(3, 50), simulate.population(5, 50)
    np.testing.assert_array_equal(few.y, more.y[:, :3])
    np.testing.assert_array_equal(few.truth["tau"], more.truth["tau"][:3])
    np.testing.assert_array_equal(few.y, few.y.round(simulate.DECIMALS))
    assert few.y[0].tolist() == simulate.population(3, 50).y[0].tolist()


def test_noise_follows_its_curve() -> None:
    """Residuals over sigma(t) of 20,000 intervals: mean 0, mean square 1 in each third, 5 standard errors each."""
    n = 20_001
    recording = simulate.example(n, varying=True)
    sigma = plain_mean(EXAMPLE_NOISE, recording.t)
    for part in np.array_split((recording.y - plain_mean(EXAMPLE, recording.t)) / sigma, 3):
        assert abs(part.mean()) < 5 / np.sqrt(len(part))
        assert abs(np.mean(part**2) - 1) < 5 * np.sqrt(2 / len(part))
    found = noise.deviation(EXAMPLE_NOISE, 1.0, jnp.asarray(recording.t))
    np.testing.assert_allclose(found, sigma, atol=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_signed_normal_is_the_truncated_one(sign: int) -> None:
    ours = SignedNormal(jnp.asarray([0.5, -2.0]), jnp.asarray([1.0, 0.7]), sign)
    cut = scipy.stats.truncnorm(-sign * np.array([0.5, -2.0]) / [1.0, 0.7], np.inf, [0.5 * sign, -2.0 * sign], [1, 0.7])
    values = sign * np.array([[0.01], [0.8], [3.0]])
    np.testing.assert_allclose(ours.log_prob(values), cut.logpdf(sign * values), rtol=1e-10)
    draws = np.asarray(ours.sample(jax.random.key(0), (40_000,)))
    assert np.all(draws * sign > 0)
    # 5 standard errors: false alarms below 6e-7 each.
    np.testing.assert_array_less(np.abs(sign * draws.mean(axis=0) - cut.mean()), 5 * cut.std() / 200)


@pytest.mark.parametrize("distance", [8.0, 20.0, 60.0])
def test_draws_of_the_signed_normal_far_on_the_wrong_side(distance: float) -> None:
    """Kolmogorov-Smirnov against the tail itself, at the level 1e-7; no draw is at 0, whose logarithm is infinite."""
    sample = SignedNormal(jnp.asarray(0.5 * distance), jnp.asarray(0.5), -1).sample
    draws = -np.asarray(sample(jax.random.key(0), (20_000,)))
    beyond = scipy.stats.norm.logsf(distance)

    def cdf(x: np.ndarray) -> np.ndarray:
        return -np.expm1(scipy.stats.norm.logsf(distance + x / 0.5) - beyond)

    assert draws.min() > 0
    assert scipy.stats.kstest(draws, cdf).pvalue > 1e-7


def test_the_signed_normal_is_finite_far_on_the_wrong_side() -> None:
    """Where the cut leaves a share below 1e-300; NumPyro's truncated normal reports an infinite density there."""
    ours = SignedNormal(jnp.asarray(-60.0), jnp.asarray(1.0), 1)
    # log N(.01; -60, 1) - log Phi(-60), the tail by its first terms: 1 / 60 (1 - 1 / 60^2).
    expected = -0.5 * 60.01**2 + 0.5 * 3600.0 - np.log((1 - 1 / 3600 + 3 / 3600**2) / 60)
    assert float(ours.log_prob(0.01)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["constant", "varying"])
def test_density_of_one_subject_against_scipy(kind: str) -> None:
    model = build("rri", {"observations": 50, "noise": kind})
    position = {name: jnp.asarray(0.1 * k) for k, name in enumerate(model.target.sites)}
    terms = {name: float(np.sum(v)) for name, v in model.target.log_terms(position, model.data).items()}
    signs = {name: -1 if name.split("_")[-1] in ("beta", "lambda", "phi") else 1 for name in position}
    x = {name: float(signs[name] * np.exp(u)) for name, u in position.items()}
    x["alpha"] = float(position["alpha"])
    t, y = model.data["t"], model.data["y"]
    m, s = y.mean(), y.std()
    priors = {"beta": (-2.5 * s, 0.5 * s), "c": (0.8, 0.2), "tau": (5, 0.5), "delta": (5, 0.5)}
    priors |= {"lambda": (-2, 0.5), "phi": (-2, 0.5)}
    if kind == "varying":
        priors |= {"sigma_beta": (0, 0.5 * s), "sigma_c": (0.8, 0.2), "sigma_tau": (4, 1.5), "sigma_delta": (4, 1.5)}
        priors |= {"sigma_lambda": (-2, 1), "sigma_phi": (-2, 1)}
    for name, (mean, sd) in priors.items():
        cut = scipy.stats.truncnorm(-signs[name] * mean / sd, np.inf, loc=signs[name] * mean, scale=sd)
        assert terms[name] == pytest.approx(cut.logpdf(abs(x[name])) + float(position[name]), rel=1e-9), name
    assert terms["alpha"] == pytest.approx(scipy.stats.norm.logpdf(x["alpha"], m + s, 0.5 * s), rel=1e-9)
    scale = "sigma" if kind == "constant" else "sigma_alpha"
    half_t = np.log(2) + scipy.stats.t.logpdf(x[scale], 3, scale=s) + float(position[scale])
    assert terms[scale] == pytest.approx(half_t, rel=1e-9)
    mean = plain_mean(Curve(*(x[name] for name in curves.NAMES)), t)
    sigma: np.ndarray | float = x["sigma"] if kind == "constant" else np.nan
    if kind == "varying":
        floor = noise.FLOOR * s
        own = plain_mean(Curve(*(x[f"sigma_{name}"] for name in curves.NAMES)), t)
        sigma = floor * np.logaddexp(0.0, own / floor)
    assert terms["y"] == pytest.approx(scipy.stats.norm.logpdf(y, mean, sigma).sum(), rel=1e-9)
    assert terms.keys() == {*priors, "alpha", scale, "y"}


@pytest.fixture(scope="module")
def few() -> tuple[object, dict[str, jax.Array], dict[str, jax.Array]]:
    """The model of six subjects, its data and a start."""
    model = build("rri", {"subjects": 6, "observations": 60})
    data = jax.tree.map(jnp.asarray, model.data)
    return model, data, jax.jit(model.target.initial)(jax.random.key(0), data)


def plain_linear(heights: np.ndarray, x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """alpha, beta and c by their equations: start = alpha + gamma s2(0), fall = -beta - gamma (s2(tau + 1.5) - s2(0))
    and recovery = gamma (s2(15) - s2(0)), gamma = -c beta; two in units of 100 ms, the last a logarithm."""
    first, dip, last = (1 / (1 + np.exp(x["phi"] * (t - x["tau"] - x["delta"]))) for t in (0.0, x["tau"] + 1.5, 15.0))
    gamma = np.exp(heights[..., 2]) / (last - first)
    beta = -(100.0 * heights[..., 1] + gamma * (dip - first))
    return {"alpha": 100.0 * heights[..., 0] - gamma * first, "beta": beta, "c": -gamma / beta}


SHAPE = Curve(0.0, 0.0, 0.0, -2.1, -0.4, 5.8, 4.1)
LINEAR_LAWS = {
    name: SignedNormal(*law)
    for name, law in zip(heights.LINEAR, ((860.0, 110.0, 1), (-345.0, 130.0, -1), (0.8, 0.2, 1)), strict=True)
}


def test_heights_give_back_what_they_were_made_of() -> None:
    values = jnp.asarray(900.0), jnp.asarray(-310.0), jnp.asarray(0.7)
    found = heights.linear(heights.heights_of(*values, SHAPE), SHAPE)
    np.testing.assert_allclose(found, values, rtol=1e-12)


def test_the_density_of_heights_is_that_of_what_they_are_made_of() -> None:
    """By the determinant of the map's derivatives; 0 where beta would be positive, with a gradient all the same."""
    law = heights.Heights(LINEAR_LAWS, SHAPE)
    values = jnp.asarray(900.0), jnp.asarray(-310.0), jnp.asarray(0.7)
    x = heights.heights_of(*values, SHAPE)
    jacobian = jax.jacfwd(lambda x: jnp.stack(heights.linear(x, SHAPE)))(x)
    expected = sum(float(one.log_prob(value)) for one, value in zip(LINEAR_LAWS.values(), values, strict=True))
    assert float(law.log_prob(x)) == pytest.approx(expected + np.log(abs(np.linalg.det(jacobian))), rel=1e-12)
    outside = x.at[1].set(-30.0)
    assert float(law.log_prob(outside)) == -np.inf
    assert np.isfinite(jax.grad(law.log_prob)(outside)).all()


def test_draws_of_heights_are_those_of_what_they_are_made_of() -> None:
    """20,000 draws, mapped back: Kolmogorov-Smirnov against each law at the level 1e-7."""
    drawn = heights.Heights(LINEAR_LAWS, SHAPE).sample(jax.random.key(0), (20_000,))
    for (name, law), values in zip(LINEAR_LAWS.items(), heights.linear(drawn, SHAPE), strict=True):
        cut = scipy.stats.truncnorm(-abs(law.location) / law.scale, np.inf, abs(law.location), law.scale)
        assert scipy.stats.kstest(np.abs(np.asarray(values)), cut.cdf).pvalue > 1e-7, name


def test_density_of_six_subjects_against_scipy(few) -> None:
    model, data, position = few
    terms = {name: np.asarray(v) for name, v in jax.jit(model.target.log_terms)(position, data).items()}
    signs = dict(zip(PARAMETERS, SIGNS, strict=True))
    x = {name: signs[name] * np.exp(np.asarray(position[name])) for name in PARAMETERS if name in position}
    x |= plain_linear(np.asarray(position["heights"]), x)
    location, spread = np.asarray(position["location"]), np.exp(np.asarray(position["spread"]))
    np.testing.assert_allclose(terms["location"], scipy.stats.norm.logpdf(location, MEANS, SDS), rtol=1e-10)
    expected = scipy.stats.halfnorm.logpdf(spread, scale=SDS) + np.asarray(position["spread"])
    np.testing.assert_allclose(terms["spread"], expected, rtol=1e-10)
    of_heights = 2 * np.log(100.0) + np.log(x["c"])
    for k, (name, sign) in enumerate(signs.items()):
        cut = scipy.stats.truncnorm(-sign * location[k] / spread[k], np.inf, sign * location[k], spread[k])
        expected = cut.logpdf(np.abs(x[name]))
        if name in position:
            np.testing.assert_allclose(terms[name], expected + np.asarray(position[name]), rtol=1e-9, err_msg=name)
        else:
            of_heights = of_heights + expected
    np.testing.assert_allclose(terms["heights"], of_heights, rtol=1e-9)
    mean = plain_mean(Curve(*(x[name] for name in curves.NAMES)), model.data["t"])
    np.testing.assert_allclose(terms["y"], scipy.stats.norm.logpdf(model.data["y"], mean, x["sigma"]), rtol=1e-9)


def test_structure_is_found_one_block_a_subject_and_one_for_each_law_of_the_population(few) -> None:
    model, data, position = few
    structure = discover(model.target, data, position, key=jax.random.key(0))
    found = {level.name: (set(level.sites), level.n_blocks, level.width, level.leaf) for level in structure.levels}
    sites = {"lambda", "phi", "tau", "delta", "sigma", "heights"}
    # The laws of alpha, beta and c stand in one term, that of the heights.
    assert found == {"subject": (sites, 6, 8, True), "parameter": ({"location", "spread"}, 6, 6, False)}
    assert len(structure.joined) == 1
    assert structure.cells["y"].n == 6


def test_starts_of_many_subjects_are_near_the_data_and_dispersed(few) -> None:
    """Each within 100 nats of what the truth gives a subject's 60 intervals, where draws from the prior are thousands
    below; and of another key elsewhere."""
    model, data, position = few
    sigma, tau = np.exp(np.asarray(position["sigma"])), np.exp(np.asarray(position["tau"]))
    truth = simulate.population(6, 60).truth
    terms = np.asarray(model.target.log_terms(position, data)["y"]).sum(axis=0)
    mean = plain_mean(Curve(*(truth[name] for name in curves.NAMES)), model.data["t"])
    best = scipy.stats.norm.logpdf(model.data["y"], mean, truth["sigma"]).sum(axis=0)
    assert np.all(terms > best - 100.0)
    assert np.all(sigma < 5 * truth["sigma"])
    other = jax.jit(model.target.initial)(jax.random.key(1), data)
    assert np.all(np.exp(np.asarray(other["tau"])) != tau)


def test_polishing_finds_the_least_squares() -> None:
    """SciPy's, from the same start, where the prior says nothing; the factor is that of the inverse of J'J / s^2."""
    t = jnp.linspace(0.0, 10.0, 80)

    def model(x: jax.Array) -> jax.Array:
        return x[0] + x[1] * jnp.exp(-jnp.exp(x[2]) * t)

    y = model(jnp.asarray([1.0, 2.0, -0.5])) + 0.05 * jnp.asarray(np.random.default_rng(0).standard_normal(80))
    start = jnp.asarray([0.0, 1.0, 0.5])
    found = polish.polish(model, start, y, polish.Prior(jnp.zeros(3), jnp.zeros(3)))
    best = scipy.optimize.least_squares(lambda x: np.asarray(model(jnp.asarray(x)) - y), start, xtol=1e-14, ftol=1e-14)
    np.testing.assert_allclose(found.x, best.x, rtol=1e-6)
    sigma = np.sqrt(2 * best.cost / 80)
    assert float(found.sigma) == pytest.approx(sigma, rel=1e-9)
    np.testing.assert_allclose(
        found.factor @ found.factor.T, sigma**2 * np.linalg.inv(best.jac.T @ best.jac), rtol=1e-5
    )


def test_names_dims_and_labels(few) -> None:
    model = few[0]
    assert model.dims["tau"] == ("subject",)
    assert model.dims["location"] == ("parameter",)
    assert model.dims["y"] == ("observation", "subject")
    assert list(model.coords["parameter"]) == list(PARAMETERS)
    assert list(model.coords["subject"]) == [1, 2, 3, 4, 5, 6]
    one = build("rri", {"observations": 30})
    assert one.dims["time"] == ("observation",)
    assert one.target.term_kinds["y"] == "likelihood"
    assert json.dumps(fingerprint(one)) == json.dumps(fingerprint(build("rri", {"observations": 30})))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"subjects": 0}, r"subjects = 0; allowed is a whole number from 1 to 272"),
        ({"subjects": 273}, r"subjects = 273; allowed"),
        ({"subjects": True}, r"subjects = True; allowed"),
        ({"observations": 3}, r"observations = 3; allowed is a whole number from 20"),
        ({"observations": "all"}, r"observations = 'all'; allowed"),
        ({"noise": "white"}, r"noise = 'white'; allowed are constant and varying"),
        ({"noise": "varying", "subjects": 5}, r"noise = varying with subjects = 5; of many subjects"),
        ({"subjects": 0, "noise": 3}, r"subjects = 0; .*noise = 3"),
        ({"subject": 5}, r"does not take subject; its settings are: subjects = 1, observations = 1000"),
    ],
)
def test_wrong_settings_are_refused(keys: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build("rri", keys)
