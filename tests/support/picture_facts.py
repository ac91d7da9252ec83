"""What pictures and tables of a model know of a run, made up of draws that are known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray

from tests.support.html_checker import Page
from workflows.results.report.markup import figure, joined
from workflows.results.report.pictures.own import own_pictures

CHAINS, DRAWS = 4, 50


def noisy(center: Any, scale: float, seed: int) -> np.ndarray:
    """Draws [chain, draw, ...] about values."""
    center = np.asarray(center, float)
    return center + scale * np.random.default_rng(seed).normal(size=(CHAINS, DRAWS, *center.shape))


def dataset(values: dict[str, tuple[tuple[str, ...], np.ndarray]], **coords: Any) -> xarray.Dataset:
    """Posterior draws with their dims after chain and draw."""
    return xarray.Dataset({name: (("chain", "draw", *dims), x) for name, (dims, x) in values.items()}, coords=coords)


def facts(model: str, posterior: xarray.Dataset, observed: xarray.Dataset, constant: xarray.Dataset) -> Any:
    """What the pictures know of a run, and, as its run, what the tables know."""
    groups = {"posterior": posterior, "observed_data": observed, "constant_data": constant}
    data = xarray.DataTree.from_dict(groups)
    attributes = {"model": model, "summary": {"draws": DRAWS}}
    run = SimpleNamespace(attributes=attributes, data=data)
    return SimpleNamespace(data=data, run=run, summary={"model": model}, attributes=attributes, draws=DRAWS)


def quantiles(draws: np.ndarray, *levels: float) -> np.ndarray:
    """One quantile after the other of draws of all chains: [level, ...]."""
    flat = np.reshape(draws, (-1, *draws.shape[2:]))
    return np.array([np.quantile(flat, level, axis=0) for level in levels])


def check_pictures(found: Any) -> None:
    """Assert that the pictures of a run's model have words, and stand in a page without a fault."""
    pictures = own_pictures(found)
    assert all(picture.alt.endswith(".") and picture.caption.endswith(".") for picture in pictures)
    page = Page(str(joined(figure(*picture) for picture in pictures)))
    assert page.problems == []
    assert len(page.images) == len(pictures) > 0
