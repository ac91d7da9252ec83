"""Scale and location moves are found where the prior is invariant under them, and nowhere else."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.structure.discovery import discover
from kernels.structure.interweaving_discovery import apply, find_interweavings
from kernels.structure.levels import Interweaving, along
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
    """A Student prior with its degrees of freedom, and a second prior term; a log-log scale is none, but normal."""

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
    assert interweavings(target) == {Interweaving("standardised", "w", "z", None, terms=("z",))}


def test_children_about_which_others_lie_have_none():
    """Coefficients of states lie about mu, and those of areas about them: what moves the first changes both priors."""
    target, data = census()
    assert interweavings(target, data) == set()


def test_a_trend_moves_with_children_that_keep_their_standardised_values():
    """log phi_g ~ N(log(e^a + e^(b - x_g)), e^s), x_g an effect of the same gene, whose own law scales all the same."""

    def log_terms(p, data):
        trend = jnp.logaddexp(p["a"], p["b"] - p["x"])
        return {
            "phi": normal(p["phi"], trend, p["s"]),
            "x": normal(p["x"], 0.0, p["w"]),
            **{name: normal(p[name], 0.0, 0.0) for name in ("a", "b", "s", "w")},
        }

    sites = [Site(name, (9,), ("gene",)) for name in ("phi", "x")], [Site(name, ()) for name in ("a", "b", "s", "w")]
    assert unplated(log_terms, *sites[0], *sites[1]) == {
        Interweaving("scale", "w", "x", None),
        *(Interweaving("standardised", parent, "phi", None, terms=("phi",)) for parent in ("a", "b", "s")),
    }


def test_a_scale_whose_tails_are_cut_is_found_all_the_same():
    def log_terms(p, data):
        return {"x": normal(p["x"], 0.0, p["s"]) - 0.02 * p["x"] ** 2, "s": normal(p["s"], 0.0, 0.0)}

    assert Interweaving("scale", "s", "x", None) in unplated(log_terms, Site("x", (9,)), Site("s", ()))


def test_an_autoregression_is_no_law_of_single_coordinates():
    """x_t about x_(t-1), with the scale of the steps and a drift: normal, but not coordinate by coordinate."""

    def log_terms(p, data):
        steps = normal(p["x"][1:], p["x"][:-1] + p["m"], jnp.exp(p["s"]))
        return {"x": jnp.sum(steps), **{name: normal(p[name], 0.0, 0.0) for name in ("m", "s")}}

    assert unplated(log_terms, Site("x", (9,)), Site("m", ()), Site("s", ())) == set()


def unplated(log_terms, *sites):
    return interweavings(make_target(log_terms, *sites))


def test_a_funnel_scales_by_the_root_of_its_variance():
    """Neal's: x ~ N(0, e^(v / 2)), one site of nine coordinates on no plate."""

    def log_terms(p, data):
        return {"v": normal(p["v"], 0.0, jnp.log(3.0)), "x": normal(p["x"], 0.0, 0.5 * p["v"])}

    sites = Site("v", ()), Site("x", (9,))
    assert unplated(log_terms, *sites) == {Interweaving("scale", "v", "x", None, 0.5)}


@pytest.mark.parametrize("power", [1.0, 0.5, -0.5, -1.0])
@pytest.mark.parametrize("center", [None, "m"])
def test_every_power_of_a_scale_is_found_with_its_centre(power, center):
    def log_terms(p, data):
        mean = p["m"] if center else 0.0
        return {"x": normal(p["x"], mean, power * p["s"]), "m": normal(p["m"], 0.0, 0.0), "s": normal(p["s"], 0.0, 0.0)}

    sites = Site("x", (6,), ("item",)), Site("m", ()), Site("s", ())
    found = unplated(log_terms, *sites)
    scales = {Interweaving("scale", "s", "x", center, power)}
    assert found == (scales | {Interweaving("location", "m", "x", None)} if center else scales)


def test_varying_intercepts_and_slopes_move_by_place_with_their_centre():
    """x[g] ~ N(m, diag(e^s) L L' diag(e^s)), L the factor of a correlation matrix: of LKJ, here by one angle."""

    def log_terms(p, data):
        r = jnp.tanh(p["r"])
        z = (p["x"] - p["m"]) * jnp.exp(-p["s"])
        quadratic = (z[:, 0] ** 2 - 2 * r * z[:, 0] * z[:, 1] + z[:, 1] ** 2) / (1 - r**2)
        return {
            "x": -0.5 * quadratic - p["s"].sum() - 0.5 * jnp.log1p(-(r**2)),
            **{name: normal(p[name], 0.0, 0.0) for name in ("m", "s", "r")},
        }

    sites = Site("x", (8, 2), ("group",)), Site("m", (2,)), Site("s", (2,)), Site("r", ())
    assert unplated(log_terms, *sites) == {
        *(Interweaving("scale", "s", "x", "m", place=place) for place in range(2)),
        *(Interweaving("location", "m", "x", None, place=place) for place in range(2)),
    }


def test_models_that_are_not_centred_have_none():
    """Standard effects, which are scaled in the likelihood."""

    def log_terms(p, data):
        mean = p["m"] + jnp.exp(p["s"]) * p["z"]
        return {"y": normal(1.0, mean, 0.0), **{name: normal(p[name], 0.0, 0.0) for name in ("z", "m", "s")}}

    assert unplated(log_terms, Site("z", (8,), ("group",)), Site("m", ()), Site("s", ())) == set()
    assert unplated(log_terms, Site("z", (8,)), Site("m", ()), Site("s", ())) == set()


def test_a_vector_of_another_length_is_no_parent():
    """Scales of three kinds, each of four items: no place along the last axis of x belongs to one of them."""

    def log_terms(p, data):
        return {"x": normal(p["x"], 0.0, jnp.repeat(p["s"], 4)), "s": normal(p["s"], 0.0, 0.0)}

    assert unplated(log_terms, Site("x", (12,)), Site("s", (3,))) == set()


def test_auxiliary_sites_are_neither_parents_nor_children():
    def log_terms(p, data):
        return {"x": normal(p["x"], 0.0, p["s"]), "s": normal(p["s"], 0.0, 0.0)}

    target = make_target(log_terms, Site("x", (6,)), Site("s", ()))
    assert interweavings(target) == {Interweaving("scale", "s", "x", None)}
    assert interweavings(replace(target, auxiliary=frozenset({"x"}))) == set()


@pytest.mark.parametrize(
    "move", [Interweaving("scale", "s", "x", "m", -0.5, 1), Interweaving("location", "m", "x", None, place=1)]
)
def test_a_move_of_a_place_leaves_the_others_and_has_the_jacobian_of_its_map(move):
    rng = np.random.default_rng(1)
    position = {"x": rng.normal(size=(5, 3)), "m": rng.normal(size=3), "s": rng.normal(size=3)}
    moved, log_jacobian = apply(move, position, 0.3, None, None)
    others = [0, 2]
    for name in position:
        np.testing.assert_array_equal(moved[name][..., others], position[name][..., others])

    def map_of_children(x):
        return apply_traced(move, {**position, "x": position["x"].at[:, 1].set(x)}, 0.3)["x"][:, 1]

    position = {name: jnp.asarray(values) for name, values in position.items()}
    jacobian = jax.jacobian(map_of_children)(position["x"][:, 1])
    assert np.isclose(np.linalg.slogdet(jacobian)[1], log_jacobian, atol=1e-9)


def apply_traced(move, position, eps):
    return along(move, position, jnp.asarray(eps))[0]


def test_a_likelihood_does_not_count_as_a_prior():
    def log_terms(p, data):
        return {"y": normal(0.0, p["x"] - p["m"], p["s"]), "x": normal(p["x"], 0.0, 0.0), "m": normal(p["m"], 0.0, 0.0)}

    target = make_target(log_terms, Site("x", (5,), ("item",)), Site("m", ()), Site("s", ()))
    assert interweavings(target) == set()


def test_a_move_keeps_the_density_but_for_the_hyperprior_and_the_likelihood():
    target, data = genes(40)
    rng = np.random.default_rng(0)
    position = {name: rng.standard_normal(site.shape) for name, site in target.sites.items()}
    moved, log_jacobian = apply(Interweaving("scale", "sd_a", "a", "mu_a"), position, 0.3, target, data)
    log_terms = jax.jit(target.log_terms)
    before, after = log_terms(position, data), log_terms(moved, data)
    assert np.isclose((after["a"] - before["a"]).sum() + log_jacobian, 0.0, atol=1e-9)
    assert log_jacobian == 40 * 0.3
    assert not np.isclose(after["y"].sum(), before["y"].sum())
