"""What pictures and tables of models are made with: pooled draws, their intervals, and how these are drawn."""

from types import SimpleNamespace

import numpy as np
import xarray

from tests.support import svg
from workflows.results.report.drawing import INK, Picture, finished, panels, style
from workflows.results.report.pictures import intervals
from workflows.results.report.pictures.own import own_pictures
from workflows.results.tables import own
from workflows.results.tables.draws import ends, pooled

RAMPS = np.stack([np.arange(1001.0), 2.0 * np.arange(1001.0)], axis=1)
"""Draws [draw, 2] whose every quantile is known."""


def test_draws_are_pooled_over_chains_and_thinned_evenly() -> None:
    values = np.arange(12.0, dtype=np.float32).reshape(2, 6)
    variable = xarray.DataArray(values, dims=("chain", "draw"))
    assert pooled(variable).dtype == np.float64
    np.testing.assert_array_equal(pooled(variable), np.arange(12.0))
    np.testing.assert_array_equal(pooled(variable, 6), [1, 3, 5, 7, 9, 11])
    np.testing.assert_array_equal(pooled(variable, 5), [2, 5, 8, 11])
    # Every chain has its say.
    np.testing.assert_array_equal(pooled(variable, 1), [5, 11])
    np.testing.assert_array_equal(pooled(variable, 100), np.arange(12.0))


def test_ends_and_intervals_are_quantiles() -> None:
    np.testing.assert_allclose(ends(RAMPS), [[25, 50], [975, 1950]])
    found = intervals.intervals(RAMPS)
    np.testing.assert_allclose(found, [[25, 50], [250, 500], [500, 1000], [750, 1500], [975, 1950]])
    np.testing.assert_allclose(found.of(np.array([1, 0])), np.array(found)[:, [1, 0]])


def rows() -> Picture:
    """The intervals of the ramps as rows."""
    figure, ((axis,),) = panels(1, 1, 2.0)
    intervals.draw_rows(axis, intervals.intervals(RAMPS), ("a", "b"))
    return finished(figure, "Rows.", "Rows.")


def test_rows_show_their_intervals() -> None:
    picture = rows()
    thin, thick = (np.array(svg.lines(picture, INK, width)) for width in (0.7, 2.2))
    scale = svg.scale([[25, 975], [50, 1950]], thin[:, :, 0])
    np.testing.assert_allclose(thick[:, :, 0], scale.places([[250, 750], [500, 1500]]), atol=0.01)
    rings = svg.markers(picture, fill="#ffffff", stroke=INK)
    np.testing.assert_allclose(rings[:, 0], scale.places([500, 1000]), atol=0.01)
    np.testing.assert_allclose(thin[:, :, 1], np.repeat(rings[:, 1:], 2, axis=1), atol=0.01)
    # The first at the bottom.
    assert rings[0, 1] > rings[1, 1]
    assert [word for word in svg.words(picture) if word in "ab"] == ["a", "b"]
    # The axis' own numbers stand on that scale too.
    assert {"0", "500", "1000"} <= set(svg.words(picture))


def test_bands_show_their_intervals() -> None:
    with style():
        figure, ((axis,),) = panels(1, 1, 2.0)
        intervals.draw_band(axis, np.array([3.0, 7.0]), intervals.intervals(RAMPS), label="named")
        axis.legend()
        picture = finished(figure, "A band.", "A band.")
    light, dark = (svg.ends_of(svg.bands(picture, opacity)[0]) for opacity in (0.35, 0.7))
    scale = svg.scale([[25, 50], [975, 1950]], light[:, 1:].T)
    np.testing.assert_allclose(dark[:, 1:].T, scale.places([[250, 500], [750, 1500]]), atol=0.01)
    (median,) = svg.lines(picture, INK, 0.9)
    np.testing.assert_allclose(median[:, 1], scale.places([500, 1000]), atol=0.01)
    assert "named" in svg.words(picture)


def test_no_table_and_no_pictures_without_draws_or_for_a_model_without_one() -> None:
    for model, draws in (("rri", 0), ("m:f", 9), ("no_such_model", 9)):
        assert own.lines(SimpleNamespace(attributes={"model": model, "summary": {"draws": draws}})) == []
        assert own_pictures(SimpleNamespace(attributes={"model": model}, draws=draws)) == []
