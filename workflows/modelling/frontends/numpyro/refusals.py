"""Statements that have no place in a density, refused in words while the model is traced."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax.extend.core import get_opaque_trace_state
from numpyro import handlers
from numpyro import primitives as numpyro_primitives
from numpyro.distributions import Delta, DiscreteUniform, biject_to

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro.tracing import Message, innermost

TYPES = {
    "param": "numpyro.param is an optimised value (numpyro.module and the flax, haiku and nnx modules "
    "make such, and LocScaleReparam without a number for `centered`): give "
    "it a prior with numpyro.sample, or pass it as data",
    "mutable": "numpyro.mutable keeps state between calls: compute the value from the latent sites",
    "prng_key": "numpyro.prng_key makes the density random: draw the numbers beforehand and pass them as data",
}


class Watch(numpyro_primitives.Messenger):
    """Raises ModelError at the first statement that a density cannot have. To be made where the model is traced."""

    def __init__(self, label: str) -> None:
        self.label, self.trace = label, get_opaque_trace_state()
        super().__init__()

    def process_message(self, msg: Message) -> None:
        """Refuse a statement before it has an effect."""
        kind, name = msg["type"], msg.get("name")
        if kind in TYPES:
            where = f", site {name!r}" if name else ""
            raise ModelError(f"model {self.label!r}{where}: {TYPES[kind]}")
        if kind in ("sample", "deterministic") and self.trace != get_opaque_trace_state():
            raise ModelError(
                f"model {self.label!r}: site {name!r} is made inside a transformation of JAX, out of which its value "
                "does not come: leave off jax.jit, write a plate for jax.vmap and "
                "numpyro.contrib.control_flow.scan for jax.lax.scan"
            )
        if kind == "plate":
            self._plate(msg)
        if kind == "control_flow" and any(isinstance(h, handlers.scope) for h in numpyro_primitives._PYRO_STACK):
            raise ModelError(
                f"model {self.label!r} has a scan or cond inside handlers.scope, where NumPyro does not find its sites "
                "by their names: put the scope inside the function that it runs"
            )
        if kind == "sample" and not msg["is_observed"] and not isinstance(innermost(msg["fn"]), Delta):
            self._latent(msg)

    def _plate(self, msg: Message) -> None:
        # A subset that the model was given (handlers.substitute) is there already.
        size, taken = msg["args"]
        if msg["value"] is None:
            raise ModelError(
                f"model {self.label!r}: plate {msg['name']!r} takes {taken} of {size} at random, which makes the "
                "density random: drop subsample_size, or pass the subset as data"
            )

    def _latent(self, msg: Message) -> None:
        distribution, name = msg["fn"], msg["name"]
        kind = type(innermost(distribution)).__name__
        site = f"model {self.label!r}: latent site {name!r}"
        if distribution.support is None:
            raise ModelError(f"{site} ({kind}) has no support: give it a distribution that says where its values lie")
        if distribution.support.is_discrete:
            self._discrete(msg, f"{site} is discrete ({kind})")
            return
        try:
            biject_to(distribution.support)
        except NotImplementedError:
            raise ModelError(
                f"{site} ({kind}) lives on {distribution.support}, which NumPyro cannot map to unconstrained "
                "coordinates: sample other variables and compute this one with numpyro.deterministic, or use "
                "numpyro.handlers.reparam (CircularReparam, ProjectedNormalReparam, ...)"
            ) from None

    def _discrete(self, msg: Message, problem: str) -> None:
        distribution = msg["fn"]
        if not distribution.has_enumerate_support or distribution.event_shape:
            raise ModelError(
                f"{problem} and cannot be summed out value by value: sum or integrate it out by hand (a GammaPoisson "
                "or NegativeBinomial2 for a Poisson with an unknown rate, a BetaBinomial, a logsumexp in "
                "numpyro.factor), or bound it with a Categorical over its likely values"
            )
        if msg["infer"].get("enumerate", "parallel") != "parallel":
            raise ModelError(
                f"{problem} with infer enumerate = {msg['infer']['enumerate']!r}: only 'parallel' is understood"
            )
        base = innermost(distribution)
        if isinstance(base, DiscreteUniform) and not (isinstance(base.low, int) and base.low == 0):
            # NumPyro's enumeration takes the values 0, 1, ... whatever the support says.
            raise ModelError(f"{problem}, and NumPyro enumerates from 0 on: let it begin at 0 and add the lowest value")


@contextmanager
def explained(label: str) -> Iterator[None]:
    """Turn complaints of NumPyro and JAX about what a model does while it is traced into a ModelError."""
    try:
        yield
    except AssertionError as error:
        if "size of plate" in str(error):
            # NumPyro refuses an empty plate by an assertion.
            raise ModelError(
                f"model {label!r} has a plate of no elements: check the sizes of its plates, or leave it out. "
                f"NumPyro says: {error}"
            ) from error
        if "unique names" in str(error):
            raise ModelError(
                f"model {label!r} uses one name twice: sites and plates need names of their own. NumPyro says: {error}"
            ) from error
        raise
    except RuntimeError as error:
        if "does not currently support enumeration" not in str(error):
            raise
        raise ModelError(
            f"model {label!r} has a cond, with which discrete latent sites cannot be summed out: write the branches "
            "with jnp.where"
        ) from error
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise ModelError(
            f"model {label!r} needs the value of an array while it is traced (a plate's size or a branch, say): pass "
            f"sizes and switches as Python integers, booleans or text, which are compiled in. JAX says: {error}"
        ) from error
