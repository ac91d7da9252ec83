"""The depth benchmark: its measure, its five densities, their reference moments, and the rivals' gradient counts."""

import itertools
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import blackjax
import blackjax.eca
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from blackjax.adaptation import laps as laps_module
from blackjax.adaptation import laps_burn_in
from jax.flatten_util import ravel_pytree

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model
from workflows.studies.depth import (
    brownian,
    gaussian,
    german_credit,
    item_response,
    references,
    rivals,
    stochastic_volatility,
)
from workflows.studies.depth.bias import Crossing, Moments, Trace, b2, last_crossing, own_b2, trace_of
from workflows.studies.depth.logistic import log_sigmoid
from workflows.studies.depth.references import Run, moments_of, sample
from workflows.studies.depth.targets import BUILDERS, EXACT, DepthTarget, build, depth_target, probe, reference_file

REFERENCES = Path(__file__).parents[2] / "references"
DIMENSIONS = {"icg": 100, "german_credit": 51, "brownian": 32, "item_response": 501, "stochastic_volatility": 2429}


# The measure


def _unit(d: int) -> Moments:
    """Moments of d independent standard normals."""
    return Moments(np.zeros(d), np.ones(d), np.full(d, 2.0), np.zeros(d), np.zeros(d))


def test_b2_is_the_squared_error_over_the_variance() -> None:
    assert b2(np.array([[1.2, 1.0], [1.0, 3.0]]), _unit(2)) == pytest.approx(np.array([[0.02, 0.0], [0.0, 2.0]]))


def test_a_trace_takes_the_worst_and_the_mean_coordinate() -> None:
    trace = trace_of(np.array([3, 5]), np.array([[1.2, 1.0], [1.0, 1.0]]), _unit(2))
    assert trace.b2_max == pytest.approx([0.02, 0.0])
    assert trace.b2_avg == pytest.approx([0.01, 0.0])


def test_estimates_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\).*2 entries.*2 coordinates"):
        trace_of(np.array([1, 2]), np.ones((2, 3)), _unit(2))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.1, 0.005, 0.004], 30),
        ([0.5, 0.001, 0.02, 0.004], 40),
        ([0.001, 0.001, 0.001, 0.001], 10),
        ([0.01, 0.01, 0.01, 0.01], 10),
        ([0.5, 0.001, 0.001, 0.011], None),
        ([0.5, np.nan, 0.001, 0.001], 30),
        ([0.5, 0.001, 0.001, np.nan], None),
    ],
)
def test_the_last_crossing_counts(values: list[float], expected: int | None) -> None:
    trace = Trace(np.array([10, 20, 30, 40]), np.array(values), np.zeros(4))
    assert last_crossing(trace, 0.01) == Crossing(expected, 10)


def test_independent_draws_have_the_bias_that_theory_says() -> None:
    """M b2 sums d chi-squares of 1 degree: the mean over 100 coordinates and 400 repeats has standard error 0.007."""
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((400, 50, 100))
    assert 50 * b2((draws**2).mean(axis=1), _unit(100)).mean() == pytest.approx(1.0, abs=6 * 0.0075)


# The densities


@pytest.mark.parametrize("name", BUILDERS)
def test_starts_have_finite_densities_and_gradients(name: str) -> None:
    target = DepthTarget(build(name), _unit(DIMENSIONS[name]))
    starts = target.flatten(target.starts(jax.random.key(1), 64))
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(target.log_density())))(starts)
    assert starts.shape == (64, DIMENSIONS[name]) == (64, target.dimension)
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
    assert (starts.std(axis=0) > 0).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_flat_vectors_follow_jax(name: str) -> None:
    target = DepthTarget(build(name), _unit(DIMENSIONS[name]))
    one = jax.tree.map(lambda x: x[0], target.starts(jax.random.key(2), 1))
    assert target.flatten(one) == pytest.approx(ravel_pytree(one)[0])
    as_numpy = jax.tree.map(np.asarray, one)
    assert isinstance(target.flatten(as_numpy), np.ndarray)


def _icg(position: dict[str, np.ndarray], data: Any) -> float:
    eigenvalues, vectors = gaussian.covariance_parts()
    covariance = (vectors * eigenvalues) @ vectors.T
    return -0.5 * position["x"] @ np.linalg.solve(covariance, position["x"])


def _german(position: dict[str, np.ndarray], data: Any) -> float:
    tau, local = np.exp(position["log_global"]), np.exp(position["log_local"])
    prior = scipy.stats.gamma(0.5, scale=2.0)
    total = prior.logpdf(tau) + np.log(tau) + (prior.logpdf(local) + np.log(local)).sum()
    total += scipy.stats.norm.logpdf(position["weights"]).sum()
    constant = data["signed_rows"][:, -1]
    logits = (constant[:, None] * data["signed_rows"]) @ (position["weights"] * local * tau)
    return total + scipy.stats.bernoulli.logpmf(constant > 0, scipy.special.expit(logits)).sum()


def _brownian(position: dict[str, np.ndarray], data: Any) -> float:
    a, b, path = np.exp(position["log_innovation"]), np.exp(position["log_observation"]), position["path"]
    total = sum(scipy.stats.lognorm.logpdf(scale, 2.0) + np.log(scale) for scale in (a, b))
    total += scipy.stats.norm.logpdf(np.diff(path, prepend=0.0), scale=a).sum()
    return total + scipy.stats.norm.logpdf(data["y"], np.delete(path, slice(10, 20)), b).sum()


def _item(position: dict[str, np.ndarray], data: Any) -> float:
    total = scipy.stats.norm.logpdf(position["mean"], 0.75)
    total += sum(scipy.stats.norm.logpdf(position[name]).sum() for name in ("ability", "difficulty"))
    student, question = np.nonzero(data["given"])
    logits = position["mean"] + position["ability"][student] - position["difficulty"][question]
    right = data["right"][student, question] > 0
    return total + scipy.stats.bernoulli.logpmf(right, scipy.special.expit(logits)).sum()


def _volatility(position: dict[str, np.ndarray], data: Any) -> float:
    sigma, nu = 0.02 * np.exp(position["log_sigma"]), 10.0 * np.exp(position["log_nu"])
    total = scipy.stats.expon.logpdf(sigma, scale=0.02) + np.log(sigma)
    total += scipy.stats.expon.logpdf(nu, scale=10.0) + np.log(nu)
    total += scipy.stats.norm.logpdf(np.diff(position["walk"], prepend=0.0), scale=sigma).sum()
    returns = np.sqrt(data["squared_returns"])
    return total + scipy.stats.t.logpdf(returns, nu, scale=np.exp(position["walk"])).sum()


TEXTBOOK: dict[str, Callable[[dict[str, np.ndarray], Any], float]] = {
    "icg": _icg,
    "german_credit": _german,
    "brownian": _brownian,
    "item_response": _item,
    "stochastic_volatility": _volatility,
}


@pytest.mark.parametrize("name", BUILDERS)
def test_densities_are_those_of_the_textbook_up_to_a_constant(name: str) -> None:
    target = DepthTarget(build(name), _unit(DIMENSIONS[name]))
    starts = target.starts(jax.random.key(3), 3)
    ours = np.asarray(jax.vmap(target.log_density())(target.flatten(starts)))
    each = [jax.tree.map(lambda x, i=i: np.asarray(x[i]), starts) for i in range(3)]
    theirs = np.array([TEXTBOOK[name](position, target.data) for position in each])
    assert np.diff(ours) == pytest.approx(np.diff(theirs), rel=1e-9)


def test_the_data_have_the_published_shapes() -> None:
    signed = german_credit.simulate()
    answers = item_response.simulate()
    assert signed.shape == (1000, 25)
    assert set(np.abs(signed[:, -1])) == {1.0}
    assert 0.2 < (signed[:, -1] > 0).mean() < 0.4
    assert answers.shape == (400, 100)
    assert np.count_nonzero(answers) == 30_105
    assert brownian.simulate().shape == (20,)
    assert stochastic_volatility.simulate().shape == (2427,)


def test_the_gaussian_is_that_of_the_gym() -> None:
    eigenvalues, vectors = gaussian.covariance_parts()
    assert eigenvalues[0] / eigenvalues[-1] == pytest.approx(131258.94, rel=1e-5)
    assert vectors.T @ vectors == pytest.approx(np.eye(100), abs=1e-12)


def test_the_gaussian_moments_are_those_of_its_draws() -> None:
    """20,000 draws: z of every mean square; |z| > 6.5 has probability 8e-11 each (light tails), 1e-8 in all."""
    eigenvalues, vectors = gaussian.covariance_parts()
    draws = np.random.default_rng(4).standard_normal((20_000, 100)) * np.sqrt(eigenvalues) @ vectors.T
    z = ((draws**2).mean(axis=0) - gaussian.moments().square) / np.sqrt(gaussian.moments().variance / 20_000)
    assert np.abs(z).max() < 6.5
    assert z.std() > 0.3


def test_log_sigmoid_is_exact_and_never_overflows() -> None:
    x = jnp.concatenate([jnp.linspace(-40.0, 40.0, 801), jnp.array([-1e4, 1e4])])
    values, gradients = jax.vmap(jax.value_and_grad(log_sigmoid))(x)
    assert np.asarray(values) == pytest.approx(np.asarray(jax.nn.log_sigmoid(x)), rel=1e-14, abs=1e-15)
    assert np.asarray(gradients) == pytest.approx(scipy.special.expit(-np.asarray(x)), rel=1e-13, abs=1e-300)


# The references


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(ModelError, match="no depth target is called 'ig'"):
        depth_target("ig")


def test_a_missing_reference_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"python -m workflows\.depth\.references german_credit"):
        depth_target("german_credit", tmp_path)


def test_a_reference_is_read_and_one_of_another_density_refused(tmp_path: Path) -> None:
    moments, path = _unit(51), tmp_path / reference_file("german_credit")
    right = probe(build("german_credit")).log_density
    np.savez(path, **moments._asdict(), provenance=json.dumps({"log_density_at_probe": right}))
    assert np.array_equal(depth_target("german_credit", tmp_path).reference.variance, moments.variance)
    np.savez(path, **moments._asdict(), provenance=json.dumps({"log_density_at_probe": right + 0.1}))
    with pytest.raises(ModelError, match="another density"):
        depth_target("german_credit", tmp_path)


def test_a_reference_run_refuses_targets_that_need_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'brownian' need no sampling"):
        references.main(["brownian", "--out", str(tmp_path)])


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - set(EXACT)))
def test_targets_without_moments_say_how_to_make_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"has no reference .* workflows\.depth\.references {name}"):
        depth_target(name, tmp_path)


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - set(EXACT)))
def test_references_are_precise_and_satisfy_the_identities_of_any_density(name: str) -> None:
    """E[dU/dx_i] = 0 and E[(x_i - m_i) dU/dx_i] = 1 held over the draws to 6 standard errors, the worst of all i."""
    target = depth_target(name)
    report = json.loads(str(np.load(REFERENCES / reference_file(name))["provenance"]))
    assert all(field.shape == (target.dimension,) for field in target.reference)
    assert own_b2(target.reference).max() < 1e-3
    assert own_b2(target.reference).mean() < 2e-4
    assert report["rhat_max"] < 1.02
    assert report["gradient_z_max"] < 6.0
    assert report["virial_z_max"] < 6.0


def test_the_brownian_moments_agree_with_plain_quadrature() -> None:
    """Given its two scales the path is Gaussian: conditioned by a Cholesky factor at every point of a coarser grid."""
    y, seen = brownian.simulate(), np.r_[0:10, 20:30]
    kernel = np.minimum.outer(np.arange(1.0, 31.0), np.arange(1.0, 31.0))
    weights, means, squares, fourths = [], [], [], []
    for log_a, log_b in itertools.product(np.arange(-12.0, 3.05, 0.1), repeat=2):
        prior = np.exp(2 * log_a) * kernel
        factor = np.linalg.cholesky(prior[np.ix_(seen, seen)] + np.exp(2 * log_b) * np.eye(20))
        white, half = np.linalg.solve(factor, y), np.linalg.solve(factor, prior[seen])
        path, variance = half.T @ white, np.diag(prior) - (half**2).sum(axis=0)
        evidence = -0.5 * white @ white - np.log(np.diag(factor)).sum()
        weights.append(evidence - 0.125 * (log_a**2 + log_b**2))
        means.append(np.r_[log_a, log_b, path])
        squares.append(np.r_[log_a**2, log_b**2, path**2 + variance])
        fourths.append(np.r_[log_a**4, log_b**4, path**4 + 6.0 * path**2 * variance + 3.0 * variance**2])
    weight, reference = scipy.special.softmax(weights), brownian.moments()
    assert weight @ np.array(means) == pytest.approx(reference.mean, rel=1e-5, abs=1e-6)
    assert weight @ np.array(squares) == pytest.approx(reference.square, rel=1e-5)
    assert weight @ np.array(fourths) - reference.square**2 == pytest.approx(reference.variance, rel=1e-4)


@pytest.mark.parametrize("name", references.EASIER)
def test_easier_coordinates_lead_to_the_targets_with_the_right_jacobian(name: str) -> None:
    """log |det| by differentiation of the map that flat vectors see."""
    target, change = DepthTarget(build(name), _unit(DIMENSIONS[name])), references.EASIER[name]
    start = jax.tree.map(lambda x: x[0], target.starts(jax.random.key(15), 1))
    flat, unflatten = ravel_pytree(start)
    jacobian = jax.jit(jax.jacfwd(lambda x: ravel_pytree(change(unflatten(x))[0])[0]))(flat)
    assert float(change(start)[1]) == pytest.approx(np.linalg.slogdet(jacobian)[1], rel=1e-9, abs=1e-9)


def test_the_levels_of_item_responses_are_the_means() -> None:
    position = {"mean": jnp.asarray(0.3), "ability": 40.0 * jnp.eye(400)[0], "difficulty": 5.0 * jnp.eye(100)[0]}
    changed, _ = item_response.from_levels(position)
    assert changed["ability"] == pytest.approx(np.full(400, 2.0))
    assert changed["difficulty"] == pytest.approx(np.full(100, 0.5))
    assert float(changed["mean"]) == pytest.approx(0.3 - 2.0 + 0.5)


def test_the_reference_run_finds_the_moments_of_a_known_density() -> None:
    """Each of 4 moments within 6 of its own Monte Carlo errors (false alarm 1e-8), the errors themselves small."""
    draws = sample(_small_gaussian(), Run(4, 200, 500), seed=5)
    moments, worst = moments_of(draws.flat)
    assert draws.flat.shape == (4, 500, 2)
    assert np.abs(moments.mean - [1.0, -1.0]).max() < 6 * moments.mean_error.max()
    assert np.abs((moments.square - [2.0, 5.0]) / moments.square_error).max() < 6.0
    assert moments.square_error.max() < 0.5
    assert worst["rhat_max"] < 1.05


def _small_gaussian() -> Model:
    """N(1, 1) and N(-1, 2), independent, as sites a and b."""
    return function_model(
        lambda position, data: -0.5 * (position["a"] - 1.0) ** 2 - 0.5 * ((position["b"] + 1.0) / 2.0) ** 2,
        {"a": (), "b": ()},
        name="small",
    )


# The rivals


CHAINS = 32


@pytest.fixture(scope="module")
def icg() -> DepthTarget:
    return depth_target("icg")


@pytest.fixture(scope="module")
def normals() -> DepthTarget:
    """Four standard normals, from starts three times too wide."""

    def start(key: jax.Array, data: Any) -> dict[str, jax.Array]:
        return {"x": 3.0 * jax.random.normal(key, (4,), jnp.float64)}

    model = function_model(lambda position, data: -0.5 * position["x"] ** 2, {"x": (4,)}, name="normals", initial=start)
    return DepthTarget(model, _unit(4))


def test_laps_counts_both_phases_from_the_given_starts(icg: DepthTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    starts, seen, initialise = icg.starts(jax.random.key(13), CHAINS), [], laps_burn_in.initialize

    def watched(*arguments: Any) -> Any:
        seen.append(initialise(*arguments))
        return seen[0]

    monkeypatch.setattr(laps_burn_in, "initialize", watched)
    trace = rivals.laps(icg, CHAINS, jax.random.key(6), 72, starts=starts, unadjusted=12)
    steps = np.diff(trace.gradients)
    assert np.array_equal(seen[0].position, starts["x"])
    assert trace.gradients[0] == 2
    assert set(steps) == {1, 30}
    assert (steps == 30).sum() == 2
    assert trace.gradients[-1] <= 73
    assert np.isfinite(trace.b2_max).all()


def test_laps_refuses_a_budget_without_a_proposal(icg: DepthTarget) -> None:
    with pytest.raises(ModelError, match="one proposal takes 30"):
        rivals.laps(icg, CHAINS, jax.random.key(6), 529)


@pytest.mark.slow
def test_laps_without_its_dear_diagnostic_draws_the_same(normals: DepthTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    original = (blackjax.eca.shard_map, laps_burn_in.equipartition_fullrank)
    lean = rivals.laps(normals, CHAINS, jax.random.key(7), 45, unadjusted=10)
    assert (blackjax.eca.shard_map, laps_burn_in.equipartition_fullrank) == original
    monkeypatch.setattr(blackjax.eca, "shard_map", lambda *args, **keys: jax.jit(original[0](*args, **keys)))
    monkeypatch.setattr(rivals, "_lean_laps", nullcontext)
    full = rivals.laps(normals, CHAINS, jax.random.key(7), 45, unadjusted=10)
    assert np.array_equal(lean.gradients, full.gradients)
    assert lean.b2_max == pytest.approx(full.b2_max, rel=1e-12)


def test_the_repaired_search_keeps_the_step_that_was_right() -> None:
    """Acceptance exp(-step) is 0.7 within 0.03 at the first trial, 0.35; BlackJAX's search then takes twice that."""
    state = (jnp.array([-jnp.inf, jnp.inf]), False)
    _, left = laps_module.bisection_monotonic_fn(0.7)(state, 0.35, jnp.exp(-0.35))
    with rivals._settled_bisection():
        (_, ended), kept = laps_module.bisection_monotonic_fn(0.7)(state, 0.35, jnp.exp(-0.35))
        (_, going_on), tried = laps_module.bisection_monotonic_fn(0.7)(state, 0.1, jnp.exp(-0.1))
    assert left == pytest.approx(0.7)
    assert (bool(ended), float(kept)) == (True, 0.35)
    assert (bool(going_on), float(tried)) == (False, pytest.approx(0.2))


def test_starts_that_do_not_fit_are_refused(normals: DepthTarget) -> None:
    with pytest.raises(ModelError, match=r"shape \(8, 4\) when flat: give 16 positions of 4"):
        rivals.meads(normals, 16, jax.random.key(0), 3, starts=normals.starts(jax.random.key(0), 8))


def test_meads_counts_a_gradient_a_step(icg: DepthTarget) -> None:
    trace = rivals.meads(icg, CHAINS, jax.random.key(8), 20)
    assert list(trace.gradients) == list(range(2, 21))
    assert np.isfinite(trace.b2_max).all()
    with pytest.raises(ModelError, match="30 chains cannot be divided by 4"):
        rivals.meads(icg, 30, jax.random.key(8), 20)


@pytest.mark.slow
def test_chees_stops_at_its_budget_and_is_blackjaxs_own(icg: DepthTarget) -> None:
    key, budget = jax.random.key(9), 24
    starts = icg.starts(jax.random.key(12), CHAINS)
    trace = rivals.chees(icg, CHAINS, key, budget, starts=starts)
    adaptation = blackjax.chees_adaptation(
        icg.log_density(),
        CHAINS,
        adaptation_info_fn=lambda state, info, adapted: (
            jnp.square(state.position).mean(axis=0),
            info.num_integration_steps[0],
        ),
    )
    optimiser = optax.adam(0.5, b1=0.0, b2=0.95)
    _, info = adaptation.run(key, icg.flatten(starts), 0.1, optimiser, budget)
    squares, leapfrogs = info._wrapped_info
    steps = len(trace.gradients)
    assert list(trace.gradients) == list(1 + np.cumsum(leapfrogs[:steps]))
    assert trace.gradients[-2] < budget <= trace.gradients[-1]
    assert trace.b2_max == pytest.approx(b2(np.asarray(squares[:steps]), icg.reference).max(axis=1), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rival", ["laps", "meads", "chees"])
def test_rivals_find_an_easy_density(normals: DepthTarget, rival: str) -> None:
    """512 exact draws: 512 sum b2 is chi-square of 4, above 61 (b2_avg 0.03) with probability 2e-12; starts have 32."""
    budget = {"unadjusted": 60} if rival == "laps" else {}
    trace = getattr(rivals, rival)(normals, 512, jax.random.key(10), 240, **budget)
    assert trace.b2_avg[0] > 1.0
    assert trace.b2_avg[-1] < 0.03
    assert last_crossing(trace, 0.05).avg is not None


def test_nuts_counts_warm_up_and_run_apart(normals: DepthTarget) -> None:
    """After about 400 draws of 2 chains b2_avg is near 0.003; the bound is 20 times that."""
    found = rivals.nuts(normals, 2, jax.random.key(11), 2_000, warmup=100, stride=20)
    assert found.warmup > 2 * 100
    assert found.trace.gradients[0] >= 40
    assert found.trace.gradients[-1] >= 2_000 > found.trace.gradients[-2]
    assert found.trace.b2_avg[-1] < 0.06
