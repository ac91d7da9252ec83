"""Pictures and the table of alcohol: what they show is what the draws say, on draws made up for them."""

import re
from typing import Any

import numpy as np
import pytest
import xarray
from scipy.stats import poisson

from tests.support import svg
from tests.support.picture_facts import CHAINS, DRAWS, check_pictures, dataset, facts, noisy, quantiles
from workflows.models.alcohol import pictures as alcohol
from workflows.models.alcohol.heaping import HALF_DOZENS
from workflows.models.alcohol.model import GROUPS
from workflows.results.report.drawing import GREY, INK
from workflows.results.tables import own


def alcohol_facts(propensity: np.ndarray, drinks: list[int], answered: list[int]) -> Any:
    """People 100, 101, ... of whom some have answered; propensity: [person]."""
    people, sizes = len(propensity), dict(zip(GROUPS, (4, 2, 4, 5, 6), strict=True)) | {"age": 14}
    values: dict[str, Any] = {"mu": ((), noisy(0.0, 0.1, 0))}
    values |= {f"effect_{name}": ((name,), noisy(np.zeros(n), 0.3, n)) for name, n in sizes.items()}
    values["reporting"] = (("way",), np.broadcast_to([0.0, 1.0, 0.0], (CHAINS, DRAWS, 3)))
    values["propensity"] = (("person",), np.broadcast_to(propensity, (CHAINS, DRAWS, people)))
    coords = {name: np.array([f"{name} {k}" for k in range(n)]) for name, n in sizes.items()}
    numbers = 100 + np.arange(people)
    observed = xarray.Dataset({"y": ("respondent", drinks)}, coords={"respondent": numbers[answered]})
    constant = xarray.Dataset({f"{name}_of_person": ("person", np.arange(people) % n) for name, n in sizes.items()})
    return facts("alcohol", dataset(values, person=numbers, **coords), observed, constant)


def test_effects_have_a_panel_a_group_with_their_quantiles() -> None:
    """All on one scale: a panel's width, or height for age, stands for the same effects."""
    found = alcohol_facts(np.zeros(6), [1, 2, 3, 6, 98], [0, 1, 2, 4, 5])
    picture = alcohol.effects(alcohol.groups_of(found.data["posterior"]))
    words, rows, frames = svg.words(picture), svg.lines(picture, INK, 0.7), svg.frames(picture)
    assert [word for word in words if word in (*GROUPS, "age")] == [*GROUPS, "age"]
    spans, first = [], 0
    for name, frame in zip(GROUPS, frames[:5], strict=True):
        draws = found.data["posterior"][f"effect_{name}"].values
        here = np.array(rows[first : first + draws.shape[-1]])
        first += draws.shape[-1]
        spans.append(frame.width / svg.scale(quantiles(draws, 0.025, 0.975).T, here[:, :, 0]).unit)
        labels = [f"{name} {k}" for k in range(draws.shape[-1])]
        assert [word for word in words if word in labels] == labels
        # The first on top.
        assert np.all(np.diff(here[:, 0, 1]) > 0)
    assert first == len(rows)
    age = found.data["posterior"]["effect_age"].values
    band = svg.ends_of(svg.bands(picture, 0.35)[0])
    svg.scale(np.arange(14), band[:, 0])
    spans.append(-frames[5].height / svg.scale(quantiles(age, 0.025, 0.975), band[:, 1:].T).unit)
    np.testing.assert_allclose(spans, spans[0], rtol=1e-4)


def test_counts_are_tallied_and_the_last_holds_the_rest() -> None:
    tally = alcohol.tallied(np.array([1, 1, 30, 31, 98]))
    assert tally.shape == (31,)
    assert {1 + place: count for place, count in enumerate(tally) if count} == {1: 2, 30: 1, 31: 2}


def test_predicted_counts_follow_the_law_of_reporting() -> None:
    """All in half dozens: 5 to 8 drinks, 4 to 7 beyond the first, become 6. 6 sd: 2e-9 for each of 2 numbers."""
    people = 20_000
    (tally,) = alcohol.predicted(np.full((1, people), np.log(5.0)), np.array([[0.0, 1.0, 0.0]]))
    assert set(1 + np.flatnonzero(tally)) <= set(HALF_DOZENS)
    for count, share in ((6, poisson.cdf(7, 5) - poisson.cdf(3, 5)), (12, poisson.cdf(13, 5) - poisson.cdf(7, 5))):
        assert abs(tally[count - 1] - people * share) < 6 * np.sqrt(people * share * (1 - share))


def test_only_people_who_answered_are_predicted_beside_what_they_said() -> None:
    """Who did not would report more than 30; the others nothing beyond the first drink."""
    found = alcohol_facts(np.array([-40.0, 6.0, -40.0]), [1, 6], [0, 2])
    counts = alcohol.counts_of(found.data)
    assert counts.draws == CHAINS * DRAWS
    # Every third of 50 draws of 4 chains.
    assert counts.predicted.shape == (64, 31)
    np.testing.assert_array_equal(counts.predicted[:, 0], 2)
    assert counts.seen[0] == counts.seen[5] == 1
    np.testing.assert_allclose(counts.weights.low, [0, 1, 0])
    picture = alcohol.counts(counts)
    assert "29 of 31 crosses lie within" in picture.caption
    bars, crosses = svg.lines(picture, GREY, 4.5), svg.markers(picture, stroke=INK)[:31]
    # Linear up to 2: crosses at 1 and 0, and a bar from 2 to 2.
    scale = svg.scale(counts.seen, crosses[:, 1])
    np.testing.assert_allclose(bars[0][:, 1], scale.places([2, 2]), atol=0.01)
    np.testing.assert_allclose([bar[0, 0] for bar in bars], crosses[:, 0], atol=0.01)
    ways = ["exact", "half dozens", "round numbers"]
    assert [word for word in svg.words(picture) if word in ways] == ways
    thin = np.array(svg.lines(picture, INK, 0.7))
    assert len(thin) == 3
    svg.scale([[0, 0], [1, 1], [0, 0]], thin[:, :, 0])


def test_the_table_of_alcohol_has_ratios_weights_and_unknown_counts() -> None:
    found = alcohol_facts(np.array([0.0, np.log(4.0), 0.0, 0.0]), [1, 6, 2], [0, 2, 3])
    table = own.lines(found.run)
    low, middle, high = np.exp(quantiles(found.data["posterior"]["effect_sex"].values[..., 1], 0.025, 0.5, 0.975))
    (women,) = (row for row in table if "sex 1" in row)
    assert women.split() == ["sex", "sex", "1", "2", f"{middle:.3f}", f"[{low:.3f},", f"{high:.3f}]"]
    assert sum(row.split()[0] in (*GROUPS, "age") for row in table) == 35
    assert any(re.fullmatch(r"  half dozens +1\.000 +\[1\.000, 1\.000\]", row) for row in table)
    said = re.fullmatch(
        r"Counts not known: 1 of 4 people; their mean count as imputed (\S+) \[[12]\.00, \S+\], of the others as "
        r"reported 3\.00",
        table[-1],
    )
    assert said is not None
    # 1 + Poisson(4), 200 draws: sd 2 / sqrt(200) = 0.14; 6 sd, 2e-9.
    assert float(said[1]) == pytest.approx(5.0, abs=0.85)
    everybody = alcohol_facts(np.zeros(2), [1, 2], [0, 1])
    assert own.lines(everybody.run)[-1] == "Everybody's count is known."


def test_pictures_have_words_and_are_well_formed() -> None:
    check_pictures(alcohol_facts(np.zeros(3), [1, 2], [0, 2]))
