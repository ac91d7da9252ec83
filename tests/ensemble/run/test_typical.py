"""Replicas that stand where the ensemble is not, in one coordinate: which are stragglers, and which are left alone."""

import numpy as np
import pytest
from scipy.special import ndtr, stdtrit

from ensemble.protocol.stages import EQUILIBRATE, SAMPLE, SCOUT
from ensemble.protocol.statistics import Whereabouts
from ensemble.run.decisions import outliers_told, policies
from ensemble.run.decisions.typical import (
    FAR,
    WINDOW,
    Judgement,
    followed,
    judged,
    pooled_quartiles,
    updated,
    usual_range,
)
from ensemble.run.ledger import Ledger, Outlier
from tests.support.models.ensemble_models import run_settings as settings
from tests.support.models.ensemble_models import small

QUARTILES = ((-1.0, -1.0), (0.0, 0.0), (1.0, 2.0))
FEW, MANY = 10, 2000
"""Coordinates of a model whose log density tells of a mode, and of one whose does not."""
HEIGHTS = np.full(12, -100.0)


def standing(at, coordinate=0):
    """An outlier that has stood there for a window."""
    return Outlier(coordinate, (float(at),) * WINDOW)


def fate(dimension, heights=HEIGHTS, **outliers):
    """What becomes of outliers named r0, r1, ..."""
    return judged({name[1:]: outlier for name, outlier in outliers.items()}, QUARTILES, heights, dimension)


def test_the_range_is_that_of_the_quartiles_on_either_side():
    low, high = usual_range(QUARTILES)
    np.testing.assert_array_equal(low, [-FAR, -FAR])
    np.testing.assert_array_equal(high, [FAR, 2 * FAR])


@pytest.mark.parametrize("stuck", [0.0, np.nan])
def test_an_ensemble_without_spread_has_no_range(stuck):
    low, high = usual_range(((stuck,),) * 3)
    assert not np.any((high < 1e300) | (low > -1e300))


def test_quartiles_of_superchains_that_agree_are_theirs_and_of_others_wide():
    one = Whereabouts(np.array([[-1.0], [0.0], [1.0]]), np.array([-1]), np.array([0.0]))
    assert pooled_quartiles([one] * 8) == ((-1.0,), (0.0,), (1.0,))
    other = one._replace(quartiles=one.quartiles + 50.0)
    low, _, high = pooled_quartiles([one, other])
    assert low[0] < 2.0
    assert high[0] > 48.0


def report(*pairs):
    """Of a superchain the coordinate and the value of each replica."""
    return Whereabouts(np.zeros((3, 2)), np.array([c for c, _ in pairs]), np.array([v for _, v in pairs]))


def test_outliers_are_followed_from_round_to_round():
    seen = [report((-1, 0.3), (0, 20.0)), report((1, -30.0), (-1, 0.0))]
    found = updated({}, seen, QUARTILES, ())
    assert found == {"1": Outlier(0, (20.0,)), "2": Outlier(1, (-30.0,))}
    np.testing.assert_array_equal(followed(found, 4), [-1, 0, 1, -1])
    seen = [report((-1, 0.0), (0, 21.0)), report((0, -30.0), (-1, 0.0))]
    assert updated(found, seen, QUARTILES, ()) == {"1": Outlier(0, (20.0, 21.0)), "2": Outlier(0, (-30.0,))}


def test_who_changes_sides_or_began_anew_is_a_new_outlier():
    before = {"0": Outlier(0, (20.0, 30.0)), "1": Outlier(0, (20.0, 30.0))}
    seen = [report((0, -25.0)), report((0, 31.0))]
    assert updated(before, seen, QUARTILES, ())["0"] == Outlier(0, (-25.0,))
    assert updated(before, seen, QUARTILES, ())["1"] == Outlier(0, (20.0, 30.0, 31.0))
    assert updated(before, seen, QUARTILES, (1,))["1"] == Outlier(0, (31.0,))


def test_only_a_window_is_kept():
    before = {"0": Outlier(0, tuple(20.0 + i for i in range(WINDOW)))}
    found = updated(before, [report((0, 50.0))], QUARTILES, ())
    assert found["0"].values == (*before["0"].values[1:], 50.0)


def test_nobody_is_judged_before_a_window_is_over():
    assert fate(MANY, r3=Outlier(0, (20.0,) * (WINDOW - 1))) == Judgement()


def test_one_alone_is_astray_where_the_log_density_cannot_tell():
    assert fate(MANY, r3=standing(20.0)) == Judgement(astray=(3,))
    assert fate(MANY, r3=standing(20.0), r4=standing(-20.0), r5=standing(60.0)) == Judgement(astray=(3, 4, 5))
    assert fate(MANY, r3=standing(20.0), r4=standing(20.0, 1)) == Judgement(astray=(3, 4))


def test_two_in_one_place_are_a_mode():
    assert fate(MANY, r3=standing(50.0), r7=standing(51.0)) == Judgement(apart=(3, 7))


def test_company_that_has_just_come_is_none():
    assert fate(MANY, r3=standing(50.0), r7=Outlier(0, (51.0,))) == Judgement(astray=(3,))


@pytest.mark.parametrize(
    ("height", "expected"),
    [(0.0, Judgement(apart=(3,))), (-15.0, Judgement(apart=(3,))), (60.0, Judgement(astray=(3,)))],
    ids=["as high", "e^-15", "a neck"],
)
def test_the_log_density_of_few_coordinates_vouches_for_a_mode(height, expected):
    heights = HEIGHTS.copy()
    heights[3] += height
    assert fate(FEW, heights, r3=standing(50.0)) == expected


def test_who_comes_nearer_is_in_no_mode():
    coming = Outlier(0, tuple(np.linspace(90.0, 40.0, WINDOW).tolist()))
    assert fate(FEW, r3=coming) == Judgement(astray=(3,))
    assert fate(FEW, r3=coming, r4=coming) == Judgement(coming=(3, 4))


def test_who_goes_to_and_fro_will_come_back():
    path = (20.0, 90.0, 25.0, 70.0, 22.0, 100.0, 30.0, 60.0)
    assert fate(MANY, r3=Outlier(0, path)) == Judgement(coming=(3,))


def simulated(x):
    """The outliers of the last round of positions [rounds, R] of one coordinate, as the run keeps them."""
    quartiles, outliers = (), {}
    for row in x:
        coordinate = np.full(len(row), -1)
        if quartiles:
            low, high = usual_range(quartiles)
            coordinate = np.where((row < low) | (row > high), 0, -1)
        seen = [Whereabouts(np.quantile(row, (0.25, 0.5, 0.75))[:, None], coordinate, row)]
        outliers = updated(outliers, seen, quartiles, ())
        quartiles = pooled_quartiles(seen)
    return outliers, quartiles


@pytest.mark.parametrize("seed", range(20))
def test_draws_of_a_heavy_tail_are_not_judged(seed):
    """Independent draws of a Student t with 1.2 degrees of freedom, of which 4 in 100 are outside on one side: all of
    eight rounds for one chain in 1e11, of 32 chains on two sides in 20 seeds less than 1e-7."""
    x = np.random.default_rng(seed).standard_t(1.2, size=(2 * WINDOW, 32))
    outliers, quartiles = simulated(x)
    assert np.abs(x).max() > FAR
    assert judged(outliers, quartiles, HEIGHTS, MANY) == Judgement()


@pytest.mark.parametrize("degrees", [1.2, 3.0])
def test_a_slow_heavy_tail_loses_few(degrees):
    """Normal scores of an autocorrelation of .9, ten rounds to forget, under this law: of 3,200 chains, of which about
    270 are outside at a time, fewer than one in 300 is put elsewhere."""
    rng, count = np.random.default_rng(5), 3200
    scores = [rng.normal(size=count)]
    for _ in range(2 * WINDOW):
        scores.append(0.9 * scores[-1] + np.sqrt(1 - 0.9**2) * rng.normal(size=count))
    outliers, quartiles = simulated(stdtrit(degrees, ndtr(np.stack(scores))))
    found = judged(outliers, quartiles, np.full(count, -100.0), MANY)
    assert len(found.astray) < count / 300


@pytest.mark.parametrize(("weight", "inside"), [(0.1, 3), (0.01, 1)])
def test_a_minor_mode_of_few_coordinates_is_not_emptied(weight, inside):
    """Two normal modes 50 sds apart, between which nothing changes; three of 32 chains or one are in the minor one."""
    rng = np.random.default_rng(1)
    place = np.where(np.arange(32) < inside, 50.0, 0.0)
    x = place + rng.normal(size=(2 * WINDOW, 32))
    heights = -0.5 * rng.chisquare(FEW, 32) + np.where(place > 0, np.log(weight), 0.0)
    outliers, quartiles = simulated(x)
    assert judged(outliers, quartiles, heights, FEW) == Judgement(apart=tuple(range(inside)))


def ledger(**changes):
    """Of an ensemble that settled six rounds ago and was refined for ten."""
    of_run = {"heights": (-100.0,) * 12, "quartiles": QUARTILES, "stage": EQUILIBRATE, "stage_round": 16}
    return Ledger(**{**of_run, "settled_round": 6, **changes})


STRAY = {"3": standing(20.0)}


def test_nobody_is_put_elsewhere_before_the_ensemble_has_settled():
    found = policies.typical_of_round(ledger(outliers=STRAY), settings(), MANY)
    assert found.astray == (3,)
    np.testing.assert_array_equal(found.followed, [-1, -1, -1, 0] + [-1] * 8)
    found = policies.typical_of_round(ledger(outliers=STRAY, settled_round=None), settings(), MANY)
    assert found.astray == ()
    assert found.followed[3] == 0


def test_starts_about_modes_are_looked_at_once_the_ensemble_has_settled():
    """Neither a scout nor a way downhill, as many narrow blocks begin: stragglers of the log density too."""
    near = settings(stages={"scouts": False}, shard={"start": {"blockwise": True}})
    assert policies.typical_of_round(ledger(outliers=STRAY), near, MANY).astray == (3,)
    assert policies.floor_of_round(ledger(), near, MANY) < -100.0
    assert policies.floor_of_round(ledger(settled_round=None), near, MANY) is None
    assert policies.next_stage(ledger(outliers=STRAY), near, MANY) is EQUILIBRATE


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        ({"quartiles": ()}, {}),
        ({"stage": SAMPLE}, {}),
        ({"stage": SCOUT}, {}),
        ({"held": True}, {}),
        ({}, {"shard": {"start": {"kind": "given"}}}),
        ({}, {"shard": {"ladder": {"temperatures": (1.0, 3.0), "stages": ("equilibrate",)}}}),
    ],
    ids=["nothing known", "sample", "a scout kernel", "tuning taken over", "starts given", "hot rungs"],
)
def test_nobody_is_looked_for_where_none_is_put_elsewhere(changes, chosen):
    assert policies.typical_of_round(ledger(**changes), settings(**chosen), MANY) is None


def test_the_freeze_waits_for_who_is_astray_or_coming_but_not_for_modes():
    roaming = Outlier(0, (20.0, 90.0) * (WINDOW // 2))
    for outliers, expected in (
        ({}, SAMPLE),
        (STRAY, EQUILIBRATE),
        ({"3": roaming}, EQUILIBRATE),
        ({"3": standing(50.0), "4": standing(50.0)}, SAMPLE),
        ({"3": Outlier(0, (20.0,))}, SAMPLE),
    ):
        assert policies.next_stage(ledger(outliers=outliers), settings(), MANY) is expected
    last = ledger(outliers=STRAY, stage_round=50)
    assert policies.next_stage(last, settings(), MANY) is SAMPLE


def test_users_are_told_by_name():
    structure = small().structure
    sites = structure.level("global").sites
    told = outliers_told.put_elsewhere((3,), ledger(outliers=STRAY), structure)
    assert f"chain 3 at {sites[0]} = 20 (half of all chains between -1 and 1)" in told
    assert outliers_told.put_elsewhere((), ledger(), structure) is None
    on_the_way, apart = outliers_told.at_the_freeze(
        ledger(outliers={"1": standing(20.0, 1), "4": standing(50.0), "5": standing(50.0)}), structure, MANY
    )
    assert f"chain 1 at {sites[1]} = 20" in on_the_way
    assert "equilibrate.max_rounds" in on_the_way
    assert "chain 4 at" in apart
    assert "chain 5 at" in apart
    assert outliers_told.at_the_freeze(ledger(), structure, MANY) == []


def test_a_long_list_of_chains_is_cut():
    many = {str(n): standing(50.0) for n in range(9)}
    (told,) = outliers_told.at_the_freeze(ledger(outliers=many), small().structure, MANY)
    assert told.count("chain ") == outliers_told.NAMED
    assert "and 3 more" in told
