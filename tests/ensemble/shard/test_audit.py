"""The audit catches a coupling that probing cannot see, names it, and leaves a right model alone."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.errors import MaxwellError
from ensemble.shard import audit
from ensemble.shard.audit import AuditError, check, staleness
from kernels.state import State, evaluate
from kernels.structure.discovery import discover
from tests.support.models.ensemble_models import GROUPS, log_terms, small, target

FAR = 40.0
"""Where no probe goes: the structure is looked for around 0."""


def coupled_terms(position, data):
    """Beyond FAR, the observations of a group also depend on the mean of the group before it."""
    neighbour = jnp.roll(position["x"], 1)
    hidden = jnp.where(neighbour > FAR, 0.1 * (neighbour - FAR), 0.0)
    terms = log_terms(position, data)
    return {**terms, "y": terms["y"] + hidden}


@pytest.fixture(scope="module")
def coupled():
    """The coupled target and the structure that is found around 0, where the coupling does not show."""
    found, data = target(coupled_terms), small().data
    origin = {name: np.zeros(site.shape) for name, site in found.sites.items()}
    return found, discover(found, data, origin, key=jax.random.key(0))


def states(target, structure, x):
    """Two replicas whose group means are [2, GROUPS], all else 0."""
    position = {n: jnp.zeros((2, *site.shape)) for n, site in target.sites.items()}
    position["x"] = jnp.asarray(x, float)
    return jax.vmap(lambda p: evaluate(target, structure, p, small().data))(position)


def moved(states, target, structure, group, x):
    """Replica 1 with the mean of one group moved, and with it the cells that the structure says the group owns."""
    view = structure.level("g")
    fresh = jax.vmap(lambda p: evaluate(target, structure, p, small().data).cells)
    position = {**states.position, "x": states.position["x"].at[1, group].set(x)}
    cells = {}
    for name, old in states.cells.items():
        own = np.asarray(view.owners[name].owner == group) if name in view.terms else np.zeros(old.shape[1:], bool)
        cells[name] = jnp.where(own, fresh(position)[name], old)
    return State(position, cells)


def test_probing_does_not_see_the_coupling(coupled):
    _, structure = coupled
    assert structure.joined == small().structure.joined
    assert structure.level("g").n_blocks == GROUPS


def test_a_right_model_passes():
    model = small()
    start = states(model.target, model.structure, np.full((2, GROUPS), FAR + 5))
    after = moved(start, model.target, model.structure, 2, FAR + 9)
    found = staleness(model.target, model.structure, after, model.data)
    assert sorted(found) == ["b", "log_sd", "mu", "x", "y"]
    assert all(float(error) <= 1e-12 for error, _ in found.values())
    check(found, model.structure, shard=0, epoch=0)


def test_the_coupling_is_caught_with_its_term_its_owner_and_its_sites(coupled):
    target, structure = coupled
    after = moved(states(target, structure, np.zeros((2, GROUPS))), target, structure, 2, FAR + 5)
    found = staleness(target, structure, after, small().data)
    with pytest.raises(AuditError) as caught:
        check(found, structure, shard=3, epoch=17)
    message = str(caught.value)
    for part in ("shard 3", "round 17", "term 'y'", "cell 3", "block 3 of level 'g' (sites x, b)", "sites b, x"):
        assert part in message, part
    assert isinstance(caught.value, MaxwellError)


def test_a_term_that_was_seen_to_touch_no_block_is_said_to():
    """Such as one that probing never saw change: no level has an owner of its cells."""
    model = small()
    start = states(model.target, model.structure, np.zeros((2, GROUPS)))
    cells = {**start.cells, "mu": start.cells["mu"].at[1, 0].add(1.0)}
    found = staleness(model.target, model.structure, State(start.position, cells), model.data)
    levels = tuple(replace(level, terms=()) for level in model.structure.levels)
    with pytest.raises(AuditError, match=r"term 'mu', cell 0, .*as probed it depends on no block of any level, but it"):
        check(found, replace(model.structure, levels=levels), shard=0, epoch=0)


def test_where_the_coupling_does_not_act_nothing_is_found(coupled):
    target, structure = coupled
    after = moved(states(target, structure, np.zeros((2, GROUPS))), target, structure, 2, FAR - 5)
    found = staleness(target, structure, after, small().data)
    assert all(float(error) <= 1e-12 for error, _ in found.values())
    check(found, structure, shard=0, epoch=0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e-8])
def test_any_wrong_cell_of_any_replica_is_found(wrong):
    """1e-8 off is beyond the tolerance, also where the cell itself is below 1."""
    model = small()
    start = states(model.target, model.structure, np.zeros((2, GROUPS)))
    cells = {**start.cells, "mu": start.cells["mu"].at[1, 0].add(wrong)}
    with pytest.raises(AuditError, match="term 'mu'"):
        check(staleness(model.target, model.structure, State(start.position, cells), model.data), model.structure, 0, 0)


def test_rounding_is_tolerated():
    model = small()
    start = states(model.target, model.structure, np.full((2, GROUPS), 1e4))
    cells = {name: values * (1 + 1e-13) for name, values in start.cells.items()}
    check(staleness(model.target, model.structure, State(start.position, cells), model.data), model.structure, 0, 0)
    assert audit.TOLERANCE == 1e-9


def test_a_term_in_float32_may_round_differently_from_program_to_program():
    """1e-6 off passes where the term is known to be computed in float32, and nowhere else; 1e-3 never does."""
    model = small()
    start = states(model.target, model.structure, np.zeros((2, GROUPS)))

    def wrong(by: float) -> dict[str, Any]:
        cells = {**start.cells, "mu": start.cells["mu"].at[1, 0].add(by)}
        return staleness(model.target, model.structure, State(start.position, cells), model.data)

    check(wrong(1e-6), model.structure, 0, 0, frozenset({"mu"}))
    for by, single in ((1e-6, {"y"}), (1e-3, {"mu"})):
        with pytest.raises(AuditError, match="term 'mu'"):
            check(wrong(by), model.structure, 0, 0, frozenset(single))
