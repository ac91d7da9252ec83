"""Chains in the mirror images of an rri posterior: without the signs each stays in its own, with them all agree.

test_rri.py shows that the 16 images have one likelihood and that searches for its largest
value end in different
ones. Here chains run: HMC on the whole vector, as the shipped configuration has it, with a metric from the Fisher
information at the image. R-hat of the constrained chains exceeds 1.1 only if means of 200 draws with little correlation
spread ten times as widely as theirs do, in chi-square of 15 degrees: false alarms are far below 1e-6.
"""

from functools import cache

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from kernels.state import LevelView, evaluate, log_density
from kernels.structure.discovery import discover
from kernels.structure.joining import level_of_all_sites
from kernels.transitions.hmc import Hmc, HmcParameters
from kernels.types import Data, Position
from tests.support.one_replica import OneReplica
from workflows.modelling.frontends.function import function_model
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model
from workflows.models.rri import curve as curves
from workflows.models.rri.curve import Curve
from workflows.models.rri.mirrors import allowed, mirrors
from workflows.models.rri.published import EXAMPLE, EXAMPLE_SIGMA, PARAMETERS, SIGNS
from workflows.models.rri.simulate import example

WARM_UP, DRAWS = 100, 200
RECORDING = example(200, varying=False)
DATA = {"t": RECORDING.t, "y": RECORDING.y}


def free(position: Position, data: Data) -> dict[str, jax.Array]:
    """The likelihood alone, of parameters of any sign."""
    curve = Curve(*(position[name] for name in PARAMETERS[:7]))
    return {"y": curves.log_likelihood(curve, position["sigma"], data["t"], data["y"])}


def free_model() -> Model:
    """Flat in the parameters themselves."""
    images = start_of(np.array([*EXAMPLE, EXAMPLE_SIGMA]))
    sites = {name: () for name in PARAMETERS}
    return function_model(free, sites, DATA, initial=lambda key, data: images, likelihood=("y",))


def signed(t: jax.Array, y: jax.Array) -> None:
    """The same likelihood and the same flat prior, cut to the model's signs."""
    values = {}
    for name, sign in zip(PARAMETERS, SIGNS.tolist(), strict=True):
        support = dist.constraints.positive if sign > 0 else dist.constraints.less_than(0.0)
        values[name] = numpyro.sample(name, dist.ImproperUniform(support, (), ()))
    curve = Curve(*(values[name] for name in PARAMETERS[:7]))
    numpyro.factor("y", curves.log_likelihood(curve, values["sigma"], t, y))


def start_of(parameters: np.ndarray) -> Position:
    return {name: jnp.asarray(value) for name, value in zip(PARAMETERS, parameters, strict=True)}


@cache
def images() -> np.ndarray:
    """All images of a point near the truth, [16, 8]: the first has the model's signs."""
    near = np.array([*EXAMPLE, EXAMPLE_SIGMA]) * (1.0 + 0.01 * np.random.default_rng(0).standard_normal(8))
    return np.array([[*curve, sigma] for curve, sigma in mirrors(Curve(*near[:7]), near[7])])


def factor_at(parameters: np.ndarray, logarithms: bool) -> jax.Array:
    """Root [8, 8] of the inverse Fisher information at the parameters, or at the logarithms of their sizes."""
    slopes = np.stack(np.broadcast_arrays(*curves.partials(Curve(*parameters[:7]), jnp.asarray(RECORDING.t))))
    information = np.zeros((8, 8))
    information[:7, :7] = slopes @ slopes.T
    information[7, 7] = 2.0 * RECORDING.t.size
    root = np.linalg.cholesky(np.linalg.inv(information)) * abs(parameters[7])
    return jnp.asarray(root / parameters[:, None] if logarithms else root)


def chains(model: Model, starts: list[Position], factors: list[jax.Array]) -> dict[str, np.ndarray]:
    """Draws [chain, draw] of each parameter and of the log density, of one chain a start."""
    target, data = model.target, jax.tree.map(jnp.asarray, model.data)
    structure = discover(target, data, starts[0], key=jax.random.key(0))
    kernel = OneReplica(Hmc(LevelView(target, structure, level_of_all_sites(target, structure))))

    def chain(key: jax.Array, start: Position, factor: jax.Array) -> dict[str, jax.Array]:
        def one(state, number):
            steps = 4 + number % 5
            steering = HmcParameters(jnp.asarray(1.0), jnp.asarray(0.35), factor[:, :, None], steps)
            state = kernel.step(jax.random.fold_in(key, number), state, data, steering)[0]
            return state, target.constrain(state.position, data) | {"lp": log_density(state.cells)}

        state = evaluate(target, structure, start, data)
        return jax.lax.scan(one, state, jnp.arange(WARM_UP + DRAWS))[1]

    keys = jax.random.split(jax.random.key(1), len(starts))
    stacked = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees) for trees in (starts, factors)]
    found = jax.jit(jax.vmap(chain))(keys, *stacked)
    return {name: np.asarray(values)[:, WARM_UP:] for name, values in found.items()}


@cache
def free_chains() -> dict[str, np.ndarray]:
    points = images()
    return chains(free_model(), [start_of(x) for x in points], [factor_at(x, False) for x in points])


@cache
def signed_chains() -> dict[str, np.ndarray]:
    """From the same starts, each brought back to the model's signs."""
    points = []
    for x in images():
        back = [[*curve, sigma] for curve, sigma in mirrors(Curve(*x[:7]), x[7]) if allowed(curve, sigma)]
        assert len(back) == 1
        points.append(np.array(back[0]))
    logs = [start_of(np.log(np.abs(x))) for x in points]
    return chains(numpyro_model(signed, DATA), logs, [factor_at(x, True) for x in points])


def r_hat(draws: np.ndarray) -> float:
    return float(arviz.rhat(draws, method="split"))


def test_without_signs_chains_stay_in_their_images_and_agree_on_nothing_but_the_density() -> None:
    starts, found = images(), free_chains()
    model = free_model()
    heights = [float(model.target.log_terms(start_of(x), model.data)["y"]) for x in starts]
    np.testing.assert_allclose(heights, heights[0], rtol=1e-12)
    for k, name in enumerate(PARAMETERS):
        assert r_hat(found[name]) > 10.0, name
        np.testing.assert_allclose(found[name].mean(axis=1), starts[:, k], rtol=0.3, err_msg=name)
    assert r_hat(found["lp"]) < 1.1
    # Every parameter with a sign to lose is about zero on average: no curve at all.
    for name in ("lambda", "phi", "sigma"):
        assert abs(found[name].mean()) < 0.1 * np.abs(found[name]).mean()


def test_with_signs_all_chains_agree() -> None:
    found = signed_chains()
    truth = dict(zip(PARAMETERS, (*EXAMPLE, EXAMPLE_SIGMA), strict=True))
    for name in PARAMETERS:
        assert r_hat(found[name]) < 1.1, name
        assert abs(found[name].mean() - truth[name]) < 5 * found[name].std(), name
    assert r_hat(found["lp"]) < 1.1


def test_the_density_is_the_same_in_both_forms() -> None:
    """The signed model's density at the logarithms is the free one's and the logarithms, to a constant's rounding."""
    point = images()[0]
    expected = float(free(start_of(point), DATA)["y"]) + np.log(np.abs(point)).sum()
    model = numpyro_model(signed, DATA)
    terms = model.target.log_terms(start_of(np.log(np.abs(point))), model.data)
    np.testing.assert_allclose(sum(float(jnp.sum(term)) for term in terms.values()), expected, rtol=1e-12)
