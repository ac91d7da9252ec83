"""Where the replicas of a shard stand."""

import numpy as np
import pytest

from ensemble.protocol.plans import RoundPlan, TypicalRange
from ensemble.protocol.stages import EQUILIBRATE
from ensemble.shard.compiled import Clock
from ensemble.shard.watch import Watch
from kernels.state import State
from kernels.structure.levels import Structure
from tests.support.models.ensemble_models import GROUPS, dispersed, small

COUNT, REPLICAS = 2 + 2 * GROUPS, 5


def states(**changed: tuple[int, float]) -> tuple[State, np.ndarray]:
    """States of five replicas with a replica's site set, and the shared coordinates [R, 2]."""
    state = dispersed(1, replicas=REPLICAS)[0]
    position = {name: np.array(values) for name, values in state.position.items()}
    for site, (replica, value) in changed.items():
        position[site][replica] = value
    shared = [position[site] for site in small().structure.level("global").sites]
    return State(position, state.cells), np.stack(shared, axis=1)


def plan(followed: list[int] | None = None, astray: tuple[int, ...] = ()) -> RoundPlan:
    """A round with a range of -100 to 100 in every coordinate, of two shards."""
    if followed is None:
        return RoundPlan(3, EQUILIBRATE, 3, 4, {})
    wide = np.full(COUNT, 100.0)
    return RoundPlan(3, EQUILIBRATE, 3, 4, {}, typical=TypicalRange(-wide, wide, np.asarray(followed), astray))


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch(small().structure, REPLICAS, Clock())


def test_quartiles_are_those_of_the_replicas_and_nobody_is_outside_before_there_is_a_range(watch: Watch) -> None:
    given, shared = states(mu=(2, 1e6))
    found = watch.seen(given, 0, plan())
    assert found is not None
    assert found.quartiles.shape == (3, COUNT)
    np.testing.assert_allclose(found.quartiles[:, :2], np.quantile(shared, (0.25, 0.5, 0.75), axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.coordinate, [-1] * REPLICAS)


def test_who_is_outside_is_named_by_the_first_such_coordinate_or_the_one_followed(watch: Watch) -> None:
    given, _ = states(mu=(2, 500.0), log_sd=(2, -300.0))
    sites = small().structure.level("global").sites
    values = {"mu": 500.0, "log_sd": -300.0}
    nobody = [-1] * REPLICAS
    for number, followed in ((0, -1), (0, 0), (1, 1), (0, 5)):
        asked = [*nobody, -1, -1, followed, -1, -1]
        found = watch.seen(given, 1, plan(asked))
        assert found is not None
        np.testing.assert_array_equal(found.coordinate, [-1, -1, number, -1, -1])
        assert found.value[2] == values[sites[number]]


def test_who_has_come_home_is_not_astray(watch: Watch) -> None:
    given, _ = states(mu=(2, 500.0))
    followed = [-1] * 2 * REPLICAS
    asked = plan(followed, astray=(2, REPLICAS + 2, REPLICAS + 3))
    np.testing.assert_array_equal(watch.astray(given, 0, asked), [False, False, True, False, False])
    np.testing.assert_array_equal(watch.astray(given, 1, asked), [False, False, True, False, False])
    assert not watch.astray(given, 0, plan()).any()


def test_a_model_without_small_levels_is_not_looked_at() -> None:
    none = Structure((), {}, {}, ())
    given, _ = states()
    watch = Watch(none, REPLICAS, Clock())
    assert watch.seen(given, 0, plan()) is None
