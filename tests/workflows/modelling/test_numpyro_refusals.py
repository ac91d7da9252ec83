"""NumPyro models that cannot be sampled as they are: refused with the site and what to do about it."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.infer.reparam import LocScaleReparam

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model


def subsampled():
    with numpyro.plate("row", 10, subsample_size=3):
        numpyro.sample("x", dist.Normal())


def optimised():
    numpyro.param("p", 1.0)


def learned_centring():
    handlers.reparam(lambda: numpyro.sample("x", dist.Normal()), config={"x": LocScaleReparam()})()


def network():
    net = numpyro.module("net", (lambda key, shape: (shape, jnp.ones(2)), lambda w, x: w * x), (2,))
    numpyro.sample("x", dist.Normal(net(jnp.ones(2)), 1.0))


def stateful():
    numpyro.sample("x", dist.Normal())
    numpyro.primitives.mutable("m", {"value": 1.0})


def random_inside():
    noise = jax.random.normal(numpyro.prng_key())
    numpyro.sample("x", dist.Normal(noise, 1.0))


def empty():
    numpyro.sample("x", dist.Normal().expand([0]))


def empty_plate():
    with numpyro.plate("row", 0):
        numpyro.sample("x", dist.Normal())


def nothing_latent():
    numpyro.sample("y", dist.Normal(), obs=1.0)


def on_a_sphere():
    numpyro.sample("x", dist.ProjectedNormal(jnp.ones(3)))


def without_support():
    numpyro.sample("x", dist.ImproperUniform(dist.constraints.sphere, (), (3,)))


def twice():
    numpyro.sample("x", dist.Normal())
    numpyro.sample("x", dist.Normal())


def like_its_plate():
    with numpyro.plate("theta", 3):
        numpyro.sample("theta", dist.Normal())


def one_stored_name():
    numpyro.sample("a.x", dist.Normal())
    with handlers.scope(prefix="a"):
        numpyro.sample("x", dist.Normal())


def scan_in_a_scope():
    with handlers.scope(prefix="a"):
        scan(lambda carry, _: (numpyro.sample("x", dist.Normal(carry, 1.0)), None), 0.0, None, length=3)


def statement_in_jax():
    jax.lax.scan(lambda carry, _: (numpyro.sample("x", dist.Normal(carry, 1.0)), None), 0.0, None, length=3)


@jax.vmap
def mapped(y):
    numpyro.sample("x", dist.Normal())


@jax.jit
def jitted():
    numpyro.sample("x", dist.Normal())


def infinite():
    numpyro.sample("n", dist.Poisson(2.0))


def one_by_one():
    numpyro.sample("z", dist.Bernoulli(0.5), infer={"enumerate": "sequential"})


def counts():
    numpyro.sample("n", dist.Multinomial(3, jnp.ones(2) / 2))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (subsampled, r"plate 'row' takes 3 of 10 at random.*drop subsample_size"),
        (optimised, r"site 'p': numpyro\.param is an optimised value"),
        (learned_centring, r"site 'x_centered': .*LocScaleReparam without a number for `centered`"),
        (network, r"site 'net\$params': .*numpyro\.module and the flax.*give it a prior"),
        (stateful, r"site 'm': numpyro\.mutable keeps state"),
        (random_inside, r"numpyro\.prng_key makes the density random"),
        (empty, r"site 'x' of model 'empty' has shape \(0,\), no elements"),
        (empty_plate, r"has a plate of no elements: check the sizes"),
        (nothing_latent, r"'nothing_latent' has no latent variable"),
        (on_a_sphere, r"latent site 'x' \(ProjectedNormal\) lives on .*handlers\.reparam.*ProjectedNormalReparam"),
        (without_support, r"latent site 'x' \(ImproperUniform\) lives on "),
        (twice, r"'twice' uses one name twice"),
        (like_its_plate, r"uses one name twice: sites and plates need names of their own"),
        (one_stored_name, r"sites 'a\.x' and 'a/x' are both stored as 'a\.x'"),
        (scan_in_a_scope, r"a scan or cond inside handlers\.scope.*put the scope inside"),
        (statement_in_jax, r"site 'x' is made inside a transformation of JAX.*numpyro\.contrib\.control_flow\.scan"),
        (jitted, r"leave off jax\.jit"),
        (infinite, r"latent site 'n' is discrete \(Poisson\).*GammaPoisson"),
        (one_by_one, r"infer enumerate = 'sequential': only 'parallel' is understood"),
        (counts, r"latent site 'n' is discrete \(MultinomialProbs\) and cannot be summed out value by value"),
    ],
)
def test_models_refused_with_the_remedy(model, message) -> None:
    with pytest.raises(ModelError, match=message):
        numpyro_model(model)


def test_a_vectorised_model_is_refused() -> None:
    with pytest.raises(ModelError, match=r"write a plate for jax\.vmap"):
        numpyro_model(mapped, {"y": np.ones(3)})


def test_a_size_given_as_an_array_is_explained() -> None:
    def model(n):
        with numpyro.plate("row", int(n)):
            numpyro.sample("x", dist.Normal())

    with pytest.raises(ModelError, match="pass sizes and switches as Python integers"):
        numpyro_model(model, {"n": np.array(3.0)})
