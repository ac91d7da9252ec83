"""Lost superchains: which are, where they go, and that what may have weight is left alone."""

import numpy as np
import pytest

from ensemble.protocol.stages import EQUILIBRATE, SAMPLE, SCOUT
from ensemble.run.decisions import policies
from ensemble.run.decisions.lost import CERTAIN, TURNS, WINDOW, lost_superchains, without_mass
from ensemble.run.ledger import Ledger
from ensemble.run.observed import masses_of
from tests.support.models.ensemble_models import run_settings as settings
from tests.support.statistics import statistics_of

DIMENSION = 3
ALLOWED = CERTAIN + 4.0 * 0.5 * np.sqrt(DIMENSION / (WINDOW // 2))


def still(*mass, rounds=WINDOW):
    """Superchains that stay where they are, for so many rounds."""
    return (tuple(float(value) for value in mass),) * rounds


def approaching(first, last):
    """One superchain at 0 beside one that goes from `first` to `last` in even steps within the window."""
    return tuple((0.0, float(value)) for value in np.linspace(first, last, WINDOW))


def normal_mode(height, sds, replicas, rng):
    """The log mass that a superchain in a normal mode shows: mean log density plus log volume, over its replicas."""
    x = rng.normal(size=(replicas, len(sds))) * sds
    density = height - 0.5 * np.sum((x / sds) ** 2, axis=1)
    return density.mean() + np.log(x.std(axis=0)).sum()


def test_one_without_weight_is_lost():
    assert lost_superchains(still(0.0, 0.0, -ALLOWED - 0.1, 0.0), (), DIMENSION) == [2]
    assert without_mass(still(0.0, 0.0, -ALLOWED - 0.1, 0.0), DIMENSION) == [2]


def test_one_that_may_have_weight_is_not():
    assert lost_superchains(still(0.0, -ALLOWED + 0.1, -20.0, 0.0), (), DIMENSION) == []
    assert without_mass(still(0.0, -ALLOWED + 0.1, -20.0, 0.0), DIMENSION) == []


def test_a_wide_mode_of_low_density_that_outweighs_a_narrow_one_is_kept():
    """In ten dimensions: a density 40 lower, and sds a hundred times as large, which is 46 of log volume."""
    rng, d = np.random.default_rng(0), 10
    rows = [
        (normal_mode(0.0, np.full(d, 0.01), 8, rng), normal_mode(-40.0, np.full(d, 1.0), 8, rng)) for _ in range(WINDOW)
    ]
    assert rows[-1][1] > rows[-1][0]
    assert lost_superchains(tuple(rows), (), d) == []


def test_it_is_the_narrow_one_that_goes_where_it_lacks_everything():
    """The same with sds ten thousand times as large: the narrow mode has e^-52 of the weight."""
    rng, d = np.random.default_rng(0), 10
    rows = [
        (normal_mode(0.0, np.full(d, 1e-4), 8, rng), normal_mode(-40.0, np.full(d, 1.0), 8, rng)) for _ in range(WINDOW)
    ]
    assert lost_superchains(tuple(rows), (), d) == [0]


@pytest.mark.parametrize("d", [1, 10, 200])
def test_superchains_of_one_normal_density_are_never_lost(d):
    """200 windows of 8 superchains of 4 replicas: the log mass of one has a standard deviation of about
    sqrt(d (1/2 + 1/4)) / sqrt(4), of a mean of three rounds 0.25 sqrt(d), far within what is allowed: 25 + 1.15 sqrt(d)
    below the best."""
    rng = np.random.default_rng(d)
    for _ in range(200):
        rows = tuple(tuple(normal_mode(0.0, np.ones(d), 4, rng) for _ in range(8)) for _ in range(WINDOW))
        assert lost_superchains(rows, (), d) == []


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(-1000.0, -500.0, []), (-1000.0, -990.0, [1]), (-1000.0, -1000.0, [1]), (-500.0, -1000.0, [1])],
)
def test_one_that_climbs_is_left_alone(first, last, expected):
    assert lost_superchains(approaching(first, last), (), DIMENSION) == expected
    assert without_mass(approaching(first, last), DIMENSION) == [1]


def test_nothing_is_said_before_a_window_is_full():
    assert lost_superchains(still(0.0, -1e6, rounds=WINDOW - 1), (), DIMENSION) == []
    assert lost_superchains((), (), DIMENSION) == []


def test_only_the_last_window_counts():
    assert lost_superchains(still(0.0, -1e6) + still(0.0, 0.0), (), DIMENSION) == []
    assert lost_superchains(still(0.0, 0.0) + still(0.0, -1e6), (), DIMENSION) == [1]


def test_one_that_began_anew_has_time_to_arrive():
    fresh = ((), (1,), (), (), (), ())
    assert lost_superchains(still(0.0, -1e6, -1e6), fresh, DIMENSION) == [2]
    earlier = ((1,),) + ((),) * WINDOW
    assert lost_superchains(still(0.0, -1e6, -1e6, rounds=WINDOW + 1), earlier, DIMENSION) == [1, 2]


def test_turns_are_counted():
    """After so many new starts it stays, for they do not help."""
    for turns, expected in ((TURNS - 1, [1]), (TURNS, [])):
        redrawn = ((1,),) * turns + ((),) * WINDOW
        mass = still(0.0, -1e6, rounds=len(redrawn))
        assert lost_superchains(mass, redrawn, DIMENSION) == expected


def reports(heights, volumes):
    return [
        statistics_of(lp=np.full(3, height), volume=volume) for height, volume in zip(heights, volumes, strict=True)
    ]


def test_mass_is_height_and_volume():
    assert masses_of(reports([-1.0, -5.0], [2.0, 7.0])) == (1.0, 2.0)


@pytest.mark.parametrize("none", [-np.inf, np.nan])
def test_one_whose_replicas_have_not_parted_is_given_the_largest_volume(none):
    assert masses_of(reports([-1.0, -5.0, -2.0], [2.0, 7.0, none])) == (1.0, 2.0, 5.0)
    assert masses_of(reports([-1.0, -5.0], [none, none])) == (-1.0, -5.0)


def test_one_without_volume_or_density_is_lost():
    assert lost_superchains(still(0.0, -np.inf, 0.0), (), DIMENSION) == [1]
    assert lost_superchains(still(np.nan, 0.0), (), DIMENSION) == [0]


@pytest.mark.parametrize("mass", [still(-np.inf, -np.inf), still(np.nan, np.nan)])
def test_what_cannot_be_weighed_is_left_alone(mass):
    assert lost_superchains(mass, (), DIMENSION) == []


def lost_ledger(**changes):
    mass = still(0.0, -1e6, 0.0, 0.0)
    return Ledger(stage=SCOUT, stage_round=WINDOW, mass=mass, heights=(-100.0,) * 12)._replace(**changes)


def test_the_lost_begin_anew_in_stages_that_relocate():
    assert policies.to_redraw(lost_ledger(), settings(), DIMENSION) == (1,)
    assert policies.to_redraw(lost_ledger(stage=EQUILIBRATE), settings(), DIMENSION) == (1,)


def test_starts_that_went_downhill_are_looked_after_without_a_scout():
    """Some end in the neck of a hierarchy, whose log density is huge and whose volume is nothing."""
    found = settings(stages={"scouts": False}, shard={"start": {"descends": True}})
    assert policies.to_redraw(lost_ledger(stage=EQUILIBRATE), found, DIMENSION) == (1,)


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        ({"stage": SAMPLE}, {}),
        ({"stage": EQUILIBRATE, "settled_round": 3}, {}),
        ({"held": True}, {}),
        ({}, {"stages": {"scouts": False}}),
        ({}, {"shard": {"start": {"kind": "given"}}}),
        ({"stage": EQUILIBRATE}, {"shard": {"ladder": {"temperatures": (1.0, 3.0), "stages": ("equilibrate",)}}}),
    ],
    ids=["sample", "settled", "tuning taken over", "no scouts", "starts given", "hot rungs"],
)
def test_nobody_begins_anew_or_is_relocated_elsewhere(changes, chosen):
    ledger, found = lost_ledger(**changes), settings(**chosen)
    assert policies.to_redraw(ledger, found, DIMENSION) == ()
    if "settled_round" not in changes:
        assert policies.floor_of_round(ledger, found, DIMENSION) is None


def test_stages_wait_for_the_lost():
    """Still, balanced and gathered, but for a superchain that is lost."""
    trace = ((((-100.0,),) * 4),) * WINDOW
    ledger = lost_ledger(trace=trace, virial=((1.0,),) * 4)
    assert policies.next_stage(ledger, settings(), DIMENSION) is SCOUT
    assert policies.next_stage(ledger._replace(mass=still(0, 0, 0, 0)), settings(), DIMENSION) is EQUILIBRATE
    there = ledger._replace(stage=EQUILIBRATE)
    assert not policies.settles_now(there, settings(), DIMENSION)
    assert policies.settles_now(there._replace(mass=still(0, 0, 0, 0)), settings(), DIMENSION)


def test_the_first_starts_anew_are_their_own():
    ledger = lost_ledger(redrawn=((1,),) * (policies.OWN_STARTS - 1))
    assert policies.sources((1,), ledger, settings(), DIMENSION) == {}


@pytest.mark.parametrize("seed", range(20))
def test_sources_never_name_one_that_is_lost(seed):
    rng, superchains = np.random.default_rng(seed), 9
    redraw = tuple(int(i) for i in rng.choice(superchains, rng.integers(1, superchains), replace=False))
    redrawn = tuple(tuple(int(i) for i in rng.choice(superchains, 4, replace=False)) for _ in range(20))
    # Some of the lost may begin anew, others may not.
    lost = sorted({*redraw, int(rng.integers(superchains))}) if len(redraw) < superchains - 1 else sorted(redraw)
    mass = still(*(-1e6 if one in lost else 0.0 for one in range(superchains)))
    ledger, chosen = lost_ledger(redrawn=redrawn, mass=mass), settings(superchains=superchains)
    found = policies.sources(redraw, ledger, chosen, DIMENSION)
    turns = {lost: sum(lost in row for row in redrawn) for lost in redraw}
    assert set(found) == {lost for lost in redraw if turns[lost] >= policies.OWN_STARTS}
    assert not set(found.values()) & set(lost)


def test_sources_take_turns():
    """Again and again lost, a superchain does not get the same states each time."""
    found = [
        policies.sources((1,), lost_ledger(redrawn=((1,),) * turns), settings(), DIMENSION)[1]
        for turns in range(policies.OWN_STARTS, policies.OWN_STARTS + 3)
    ]
    assert sorted(found) == [0, 2, 3]


def test_joint_moves_alternate_once_the_ensemble_has_settled():
    before = [policies.joins(Ledger(stage=EQUILIBRATE, stage_round=r)) for r in range(4)]
    after = [policies.joins(Ledger(stage=EQUILIBRATE, stage_round=r, settled_round=10)) for r in range(10, 14)]
    assert before == [True] * 4
    assert after == [True, False, True, False]
    assert [policies.joins(Ledger(stage=SAMPLE, joined=joined)) for joined in (True, False)] == [True, False]
