"""What the front end puts right in PyTensor's JAX functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

pm = pytest.importorskip("pymc", reason="PyMC is an optional extra: pip install 'maxwell[pymc]'")

import maxwell
from tests.support.models.pymc_zoo import ZOO
from workflows.modelling.frontends.pymc.dispatch import ASYMPTOTIC, erfcx

MOVES = {"reshape", "broadcast_in_dim", "squeeze", "slice", "transpose", "gather"}
"""What only moves numbers: data that were given in float32 are moved in it."""


def test_erfcx_is_scipys_with_its_slope() -> None:
    x = np.concatenate([np.linspace(-20, 40, 601), [ASYMPTOTIC, np.nextafter(ASYMPTOTIC, 0), 1e3, 1e8]])
    np.testing.assert_allclose(jax.vmap(erfcx)(jnp.asarray(x)), special.erfcx(x), rtol=3e-13)
    near = x[np.abs(x) < 20]
    slope = 2 * near * special.erfcx(near) - 2 / np.sqrt(np.pi)
    np.testing.assert_allclose(jax.vmap(jax.grad(erfcx))(jnp.asarray(near)), slope, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["varying_slopes", "gaussian_process", "censored", "ordered"])
def test_nothing_is_computed_in_float32(name: str) -> None:
    """PyMC's literals are float32 constants, beside which JAX's weakly typed float64 would become float32."""
    read = maxwell.pymc_model(ZOO[name]())
    position = read.target.initial(jax.random.key(0), read.data)
    data = {key: jnp.asarray(value) for key, value in read.data.items()}
    program = jax.make_jaxpr(read.target.log_terms)(position, data)
    single = [
        equation
        for equation in program.jaxpr.eqns
        if equation.primitive.name not in MOVES
        and any(getattr(out.aval, "dtype", None) == jnp.float32 and out.aval.size > 1 for out in equation.outvars)
    ]
    assert single == []
