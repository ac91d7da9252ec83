"""The report's section on the fit: verdicts, every statistic beside its predictions, and pictures of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ensemble.errors import MaxwellError
from workflows.results.fit.check import Fit
from workflows.results.fit.verdict import FITS, MISFIT, Verdict, told
from workflows.results.report.drawing import GREY, INK, RED, Picture, axis_label, finished, panels
from workflows.results.report.facts import Facts

FEW = 8
"""Statistics of a family that share a picture, and a table, with other families."""
TICKS = 12
"""Labels along an axis."""
LOGARITHMIC = 30.0
"""How many times the smallest the largest share is, from which shares are drawn on a logarithmic scale."""
LIMIT = 2.0
"""Distance at which statistics further out are drawn."""
ROWS = 40
"""Rows of the table of statistics at most, those that are furthest off first."""


def fit_of(facts: Facts) -> Fit | str:
    """The fit of a run with draws, or why it is not known. The page is of a finished run whatever is wrong here."""
    try:
        return facts.run.check()
    except MaxwellError as error:
        return f"Not checked: {error}."
    except Exception as error:  # noqa: BLE001 - statistics of any model, the user's included
        return f"The fit could not be checked ({type(error).__name__}: {error}). `maxwell check` tries it again."


def headline(fit: Fit) -> str:
    """What was compared, and what came out."""
    bad = [verdict.family.name for verdict in fit.verdicts if verdict.judgement == MISFIT]
    found = "No family of statistics is missed."
    if bad:
        found = f"{len(bad)} of {len(fit.verdicts)} families of statistics are missed: {', '.join(bad)}."
    return (
        f"{fit.data_sets} data sets were drawn from the posterior. {found} A family is apart where the data lie "
        f"further out than every data set, which chance alone does at most once in {fit.data_sets + 1}; it is a misfit "
        "where the difference is large enough to matter."
    )


def verdict_rows(fit: Fit) -> list[dict[str, Any]]:
    """A row for each family."""
    return [
        {"family": v.family.name, "verdict": v.judgement, "where": v.text or "-", "what it is": v.family.about or "-"}
        for v in fit.verdicts
    ]


def statistic_rows(fit: Fit) -> list[dict[str, Any]]:
    """A row for each statistic of the small families, and for those of large ones that are apart."""
    return [row for v in fit.verdicts for row in _rows(v)][:ROWS]


def _rows(verdict: Verdict) -> Iterator[dict[str, Any]]:
    family = verdict.family
    size = np.abs(np.nan_to_num(verdict.observed - verdict.median)) / family.matters
    few = len(family.labels) <= FEW
    for k in range(len(family.labels)) if few else np.argsort(-size, kind="stable"):
        if few or verdict.apart[k]:
            low, high = (told(float(end), family) for end in verdict.between[:, k])
            yield {
                "family": family.name,
                "statistic": family.labels[k],
                "data": told(float(verdict.observed[k]), family),
                "predicted": told(float(verdict.median[k]), family),
                "95% interval": f"{low} to {high}",
                "P(larger)": f"{verdict.p[k]:.3f} ± {verdict.error[k]:.3f}",
                "apart": bool(verdict.apart[k]),
            }


def pictures(fit: Fit) -> list[Picture]:
    """One of all small families together, and one of each large one."""
    small = [verdict for verdict in fit.verdicts if len(verdict.family.labels) <= FEW]
    large = [verdict for verdict in fit.verdicts if len(verdict.family.labels) > FEW]
    return [*([together(small)] if small else []), *(alone(verdict) for verdict in large)]


def together(verdicts: list[Verdict]) -> Picture:
    """Statistics of several families as rows, each on the scale of its own predictions."""
    rows = [(verdict, k) for verdict in verdicts for k in range(len(verdict.family.labels))]
    figure, ((axis,),) = panels(1, 1, 0.7 + 0.19 * len(rows))
    for place, (verdict, k) in enumerate(rows):
        center, (low, high), widest = verdict.median[k], verdict.between[:, k], verdict.widest[:, k]
        # The unit of each row: from the median to where it would be apart.
        below, above = (max(abs(end - center), np.finfo(float).tiny) for end in widest)
        ends = [(x - center) / (below if x < center else above) for x in (low, high, verdict.observed[k])]
        axis.hlines(place, -1.0, 1.0, color=GREY, linewidth=0.7)
        axis.hlines(place, *np.clip(ends[:2], -1.0, 1.0), color=GREY, linewidth=4.0)
        color = RED if verdict.apart[k] else INK
        axis.plot(np.clip(ends[2], -LIMIT, LIMIT), place, "x", color=color, markersize=5)
    axis.set(yticks=range(len(rows)), ylim=(len(rows) - 0.4, -0.6), xlim=(-2.15, 3.15))
    axis.set_yticklabels([axis_label(verdict.family.labels[k]) for verdict, k in rows])
    for place, (verdict, k) in enumerate(rows):
        if k == 0:
            axis.text(3.1, place, axis_label(verdict.family.name), ha="right", va="center", fontsize=7)
    axis.set(xticks=[-1, 0, 1], xlabel="distance from the median prediction; beyond -1 or 1: apart")
    caption = (
        "Statistics of the data (crosses; red where apart) among those of data sets from the posterior: thick, the "
        "middle 95%; thin, the range beyond which a statistic is apart, to which each row is scaled. Crosses further "
        f"out than {LIMIT:g} are drawn there."
    )
    return finished(figure, "Statistics of the data beside those of data sets drawn from the posterior.", caption)


def alone(verdict: Verdict) -> Picture:
    """A family along an axis: in its own units, and the differences from the predictions."""
    family, places = verdict.family, np.arange(len(verdict.family.labels))
    figure, ((top,), (bottom,)) = panels(2, 1, 3.6, sharex=True, height_ratios=[3, 2])
    unit = 100.0 if family.share else 1.0
    for axis, center in ((top, np.zeros(len(places))), (bottom, verdict.median)):
        low, high = verdict.between - center
        axis.vlines(places, unit * low, unit * high, color=GREY, linewidth=max(1.5, min(5.0, 150 / len(places))))
        for chosen, color in ((~verdict.apart, INK), (verdict.apart, RED)):
            seen = unit * (verdict.observed - center)[chosen]
            axis.plot(places[chosen], seen, "x", color=color, markersize=4 if len(places) < 60 else 2.5)
    _scale(top, verdict)
    bottom.vlines(places, *(unit * (verdict.widest - verdict.median)), color=GREY, linewidth=0.5)
    bottom.axhline(0.0, color=INK, linewidth=0.5, linestyle="--")
    step = -(-len(places) // TICKS)
    bottom.set(xticks=places[::step])
    longest = max(len(label) for label in family.labels)
    bottom.set_xticklabels([axis_label(x) for x in family.labels[::step]], rotation=90 if longest > 5 else 0)
    top.set(title=axis_label(family.name), ylabel="%" if family.share else "")
    bottom.set(ylabel="difference" + (", %" if family.share else ""))
    what = (
        "The data have no part that is apart." if verdict.judgement == FITS else f"{verdict.judgement}: {verdict.text}."
    )
    caption = (
        f"{family.name}, in the data (crosses; red where apart) and the middle 95% in data sets from the posterior "
        f"(bars); below, less the median prediction, with the range beyond which one is apart (thin). {family.about} "
        f"{what[0].upper()}{what[1:]}"
    )
    return finished(figure, f"{family.name} in the data and in data sets drawn from the posterior.", caption)


def _scale(axis: Axes, verdict: Verdict) -> None:
    """A logarithmic axis where shares differ much."""
    positive = verdict.median[verdict.median > 0]
    if verdict.family.share and positive.size and positive.max() > LOGARITHMIC * positive.min():
        axis.set_yscale("symlog", linthresh=max(100 * float(positive.min()), 1e-3))
        axis.set_ylim(bottom=0.0)
