"""Diagnostics of every unconstrained coordinate: by site, over all, and the worst of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray

from workflows.results.inspect import number

Key = tuple[str, tuple[int, ...]]
"""A coordinate: the site and the index in it."""

TRACED = 4
"""Slowest coordinates of which traces are drawn."""
FURTHEST = 2
"""Coordinates of highest R-hat drawn beside them."""


class Site(NamedTuple):
    """ess and rhat: arrays of the site's shape, NaN where not known; labels: of each axis; shared: without plates."""

    name: str
    ess: np.ndarray
    rhat: np.ndarray
    labels: tuple[np.ndarray, ...]
    shared: bool

    def label(self, index: Sequence[int]) -> str:
        """The coordinate as people name it: a[ENSG00000103196]."""
        if not self.labels:
            return self.name
        return f"{self.name}[{', '.join(str(names[i]) for names, i in zip(self.labels, index, strict=True))}]"

    def note(self, index: tuple[int, ...]) -> str:
        """The coordinate's diagnostics in words."""
        ess = self.ess[index]
        return f"ESS {'-' if np.isnan(ess) else number(float(ess))}, nested R-hat {rhat_text(self.rhat[index])}."


def sites_of(sites: Mapping[str, Any], diagnostics: xarray.Dataset) -> list[Site]:
    """The sites of a model's fingerprint with a run's diagnostics, as Run.diagnostics gives them, if there are any yet;
    those without plates first. Auxiliary sites, which have none, are left out."""
    found = []
    for name, site in sites.items():
        if diagnostics.data_vars and f"{name}_ess" not in diagnostics:
            continue
        unknown = np.full(site["shape"], np.nan)
        known = diagnostics.get(f"{name}_ess", xarray.DataArray(unknown))
        rhat = diagnostics.get(f"{name}_rhat", xarray.DataArray(unknown))
        labels = tuple(np.asarray(known[dim].values) for dim in known.dims)
        found.append(Site(name, known.values, rhat.values, labels, not site["plates"]))
    return sorted(found, key=lambda one: not one.shared)


def everything(sites: list[Site], kind: str, shared: bool | None = None) -> np.ndarray:
    """ess or rhat of all coordinates in one flat array; of the shared ones or the others alone if so asked."""
    chosen = [getattr(s, kind).ravel() for s in sites if shared is None or s.shared == shared]
    return np.concatenate([np.empty(0), *chosen])


def stuck(sites: list[Site]) -> int:
    """Coordinates that never moved: their R-hat is not a number although the goals have been looked at."""
    return int(np.isnan(everything(sites, "rhat")).sum())


def by_site(sites: list[Site], ess: float | None, rhat: float | None) -> list[dict[str, Any]]:
    """A row for each site, the slowest first; ess, rhat: the goals, against which coordinates are counted."""
    # A site of which nothing is known never moved.
    ranked = sorted(sites, key=lambda site: _extreme(site.ess, np.min) or 0.0)
    return [
        {
            "site": site.name,
            "coordinates": site.ess.size,
            "ESS min": _extreme(site.ess, np.min),
            "ESS median": _extreme(site.ess, np.median),
            "ESS below goal": None if ess is None or np.isnan(site.ess).all() else int((site.ess < ess).sum()),
            "R-hat max": rhat_text(_extreme(site.rhat, np.max)),
            "R-hat above limit": None if rhat is None or np.isnan(site.rhat).all() else int((site.rhat > rhat).sum()),
        }
        for site in ranked
    ]


def furthest(sites: list[Site], count: int) -> list[Key]:
    """The coordinates with the highest R-hat."""
    found = []
    for site in sites:
        flat = np.where(np.isnan(site.rhat), -np.inf, site.rhat).ravel()
        for place in np.argsort(-flat)[:count]:
            index = tuple(int(i) for i in np.unravel_index(place, site.rhat.shape))
            found.append((float(flat[place]), (site.name, index)))
    ranked = sorted(found, key=lambda pair: -pair[0])
    return [key for value, key in ranked[:count] if np.isfinite(value)]


def slowest(summary: Mapping[str, Any], sites: list[Site]) -> list[dict[str, Any]]:
    """The summary's slowest coordinates, with their labels."""
    names = {site.name: site for site in sites}
    return [
        {"coordinate": names[row["site"]].label(row["index"]), "ESS": row["ess"], "R-hat": rhat_text(row["rhat"])}
        for row in summary["worst"] or []
    ]


def rhat_text(value: float | None) -> str:
    """R-hat to four decimals: those of good runs differ in the third; a dash where it is not known."""
    return "-" if value is None or np.isnan(value) else f"{value:.4f}"


def drawn(summary: Mapping[str, Any], sites: list[Site]) -> list[Key]:
    """The coordinates whose traces are drawn: the slowest and those of highest R-hat, or before any check the first of
    each site."""
    slow = [(row["site"], tuple(row["index"])) for row in summary["worst"] or []][:TRACED]
    far = [key for key in furthest(sites, TRACED + FURTHEST) if key not in slow]
    first = [(site.name, (0,) * site.ess.ndim) for site in sites]
    return [*slow, *far][: TRACED + FURTHEST] or first[: TRACED + FURTHEST]


def _extreme(values: np.ndarray, reduce: Any) -> float | None:
    known = values[~np.isnan(values)]
    return float(reduce(known)) if known.size else None
