"""Scale and location moves are found where the prior is invariant under them, and nowhere else."""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.structure.discovery import discover
from kernels.structure.interweaving_discovery import apply, find_interweavings
from kernels.structure.levels import Interweaving
from kernels.target import Site
from tests.support.models.structure_models import census, genes, make_target, normal, zeros

KEY = jax.random.key(3)


def interweavings(target, data=None):
    structure = discover(target, data, zeros(target), key=KEY)
    return set(find_interweavings(target, structure, data, zeros(target), KEY))


def test_the_moves_of_the_gene_model_are_found():
    assert interweavings(*genes(40)) == {
        Interweaving("scale", "sd_a", "a", "mu_a"),
        Interweaving("location", "mu_a", "a", None),
        Interweaving("scale", "sd_d", "d", None),
        Interweaving("scale", "sd_p", "phi", "mu_p"),
        Interweaving("location", "mu_p", "phi", None),
    }


def test_a_log_normal_child_moves_on_its_unconstrained_coordinate():
    """phi ~ LogNormal(m, e^s): density of phi and Jacobian of exp in two terms; an event axis counts in n."""

    def log_terms(p, data):
        phi = jnp.exp(p["phi"])
        density = normal(jnp.log(phi), p["m"], p["s"]) - jnp.log(phi)
        return {"phi": density, "phi_jacobian": p["phi"], "m": normal(p["m"], 0.0, 0.0), "y": -phi}

    target = make_target(log_terms, Site("phi", (9, 2), ("item",)), Site("m", ()), Site("s", ()))
    assert interweavings(target) == {
        Interweaving("scale", "s", "phi", "m"),
        Interweaving("location", "m", "phi", None),
    }


def test_what_is_not_invariant_is_not_found():
    """A Student prior with its degrees of freedom, a gamma shape, a second prior term, and a log-log scale."""

    def log_terms(p, data):
        freedom = jnp.exp(p["f"])
        return {
            "t": -0.5 * (freedom + 1) * jnp.log1p(p["t"] ** 2 / freedom),
            "x": normal(p["x"], 0.0, p["s"]),
            "x_again": normal(p["x"], 1.0, 0.0),
            "z": normal(p["z"], 0.0, jnp.exp(p["w"])),
        }

    plated = [Site(name, (6,), ("item",)) for name in ("t", "x", "z")]
    target = make_target(log_terms, *plated, *[Site(name, ()) for name in ("f", "s", "w")])
    assert interweavings(target) == set()


def test_parents_are_scalars_only():
    target, data = census()
    assert interweavings(target, data) == set()


def test_a_likelihood_does_not_count_as_a_prior():
    def log_terms(p, data):
        return {"y": normal(0.0, p["x"] - p["m"], p["s"]), "x": normal(p["x"], 0.0, 0.0), "m": normal(p["m"], 0.0, 0.0)}

    target = make_target(log_terms, Site("x", (5,), ("item",)), Site("m", ()), Site("s", ()))
    assert interweavings(target) == set()


def test_a_move_keeps_the_density_but_for_the_hyperprior_and_the_likelihood():
    target, data = genes(40)
    rng = np.random.default_rng(0)
    position = {name: rng.standard_normal(site.shape) for name, site in target.sites.items()}
    moved, log_jacobian = apply(Interweaving("scale", "sd_a", "a", "mu_a"), position, 0.3)
    log_terms = jax.jit(target.log_terms)
    before, after = log_terms(position, data), log_terms(moved, data)
    assert np.isclose((after["a"] - before["a"]).sum() + log_jacobian, 0.0, atol=1e-9)
    assert log_jacobian == 40 * 0.3
    assert not np.isclose(after["y"].sum(), before["y"].sum())
