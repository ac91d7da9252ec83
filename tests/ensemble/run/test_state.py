"""The state of a run: absorbed by a pure function, and the same after a checkpoint, in every stage."""

import copy
import json
from typing import NamedTuple

import jax
import numpy as np
import pytest

from ensemble.errors import StoreVersion
from ensemble.protocol.plans import RoundPlan, RoundResult
from ensemble.protocol.statistics import LadderSums, Rate
from ensemble.run.absorb import absorb
from ensemble.run.ledger import Ledger
from ensemble.run.rounds import advance, next_plan
from ensemble.run.settings import RunSettings
from ensemble.run.state import RunState, first_state, pack, unpack
from tests.support.fake_fleet import FakeFleet
from tests.support.models.ensemble_models import run_settings, shard_settings, small

LADDER = {"temperatures": (1.0, 3.0), "stages": ("equilibrate",)}
SETTINGS: RunSettings = run_settings(shard=shard_settings(ladder=LADDER))


class Round(NamedTuple):
    """A round of a run: the state before it, its plan and its results."""

    before: RunState
    plan: RoundPlan
    results: list[RoundResult]


def swapping(plan, statistics):
    if len(plan.tuning["betas"]) > 1:
        swaps = {"g": (Rate(np.full(5, 3.0), np.full(5, 12.0)),)}
        statistics = statistics._replace(swaps=swaps, ladder=LadderSums(np.array([-1.0, -2.0]), np.asarray(0.5)))
    return statistics


@pytest.fixture(scope="module")
def rounds() -> list[Round]:
    """Thirty rounds, through all stages and the first check of the goals."""
    model, fleet, found = small(), FakeFleet(4, swapping), []
    fleet.initialise()
    state = first_state(model.spec, SETTINGS)
    for _ in range(30):
        plan = next_plan(state, model.spec, SETTINGS)
        results = fleet.run(plan)
        found.append(Round(state, plan, results))
        state = absorb(state, plan, results, model.spec, SETTINGS)
        state = advance(state, plan, model.spec, SETTINGS)
    return found


def same(one: RunState, other: RunState) -> bool:
    """Whether two states are equal, their arrays to the last bit and in the types of their numbers."""
    (leaves, structure), (others, other_structure) = (jax.tree.flatten(tuple(state[1:])) for state in (one, other))
    if one.ledger != other.ledger or structure != other_structure:
        return False
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(leaves, others, strict=True)]
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def copied(state: RunState) -> RunState:
    """A state that shares nothing with this one."""
    ledger = Ledger.from_json(json.loads(json.dumps(state.ledger.to_json())))
    return RunState(ledger, *jax.tree.map(lambda leaf: np.array(leaf) if np.ndim(leaf) else leaf, tuple(state[1:])))


def test_the_rounds_are_of_all_stages(rounds):
    stages = [found.plan.stage.name for found in rounds]
    assert sorted(set(stages), key=stages.index) == ["scout", "equilibrate", "sample"]
    assert rounds[-1].before.diagnostics is not None
    assert rounds[-1].before.diagnostic_sums.batches


def test_absorbing_changes_neither_state_nor_results_and_is_a_function_of_them(rounds):
    model = small()
    for before, plan, results in rounds:
        state, given = copied(before), copy.deepcopy([result.statistics for result in results])
        found = absorb(before, plan, results, model.spec, SETTINGS)
        again = absorb(state, plan, results, model.spec, SETTINGS)
        assert same(found, again)
        assert same(before, state)
        for result, statistics in zip(results, given, strict=True):
            jax.tree.map(np.testing.assert_array_equal, result.statistics, statistics)


def test_what_is_packed_is_unpacked_bit_for_bit(rounds):
    model = small()
    for before, _, _ in rounds:
        arrays, info = pack(before, model.structure)
        found = unpack(arrays, json.loads(json.dumps(info)), model.spec, SETTINGS)
        assert same(found, before)


def test_what_an_earlier_version_had_not_learned_is_named(rounds):
    model = small()
    arrays, info = pack(rounds[0].before, model.structure)
    arrays = {name: array for name, array in arrays.items() if "levels/global/0/given" not in name}
    with pytest.raises(StoreVersion, match="has no levels/global/0/given/factor, levels/global/0/given/information"):
        unpack(arrays, json.loads(json.dumps(info)), model.spec, SETTINGS)


def test_states_that_differ_are_seen_to_differ(rounds):
    """The comparison above sees the last bit of any array, and the ledger."""
    state = rounds[-1].before
    (known,) = state.moments.states["g"]
    mean = known.mean.copy()
    mean[0, 0] = np.nextafter(mean[0, 0], 1e9)
    moments = state.moments._replace(states={**state.moments.states, "g": (known._replace(mean=mean),)})
    assert same(state, state)
    assert not same(state, state._replace(moments=moments))
    assert not same(state, state._replace(ledger=state.ledger._replace(draws=state.ledger.draws + 1)))
    assert not same(state, state._replace(diagnostics=None))
