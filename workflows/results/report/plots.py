"""The pictures that every run has: course, diagnostics over all coordinates, traces and ranks, ladder."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from workflows.results.report.drawing import BLUE, GREY, INK, RED, Picture, axis_label, finished, panels
from workflows.results.report.pooling import rank_counts
from workflows.results.report.timeline import Course

BINS = 60
DEEPEST = 1e30
"""Distances beyond are shown as this: matplotlib's arithmetic of scales overflows."""
WIDE = 1000.0
"""Times the smallest energy of a ladder: a wider range is shown on a logarithmic scale."""
FAR = 30.0
"""Times the range of the last round: starts that lie so far below it are shown on a logarithmic scale."""


def course_picture(course: Course) -> Picture:
    """Log density by round, in the warm-up and in stage `sample`, a line for each group of chains."""
    parts = [
        (name, rounds, lines)
        for name, rounds, lines in (
            ("warm-up", course.warmup_rounds, course.warmup),
            ("sample", course.sample_rounds, course.sample),
        )
        if lines.size
    ]
    figure, axes = panels(1, len(parts), 2.3)
    level, unit = _end(course.warmup)
    fall = bool(course.warmup.size) and level - course.warmup.min() > FAR * unit
    for axis, (name, rounds, lines) in zip(axes[0], parts, strict=True):
        marker = "." if len(rounds) < 3 else ""
        if name == "warm-up" and fall:
            axis.plot(rounds, np.maximum(lines.T - level, -DEEPEST), color=INK, alpha=0.5, marker=marker)
            axis.set_yscale("symlog", linthresh=unit)
            axis.set(ylabel="log density above its end", yticks=_decades(unit, min(level - lines.min(), DEEPEST)))
        else:
            axis.plot(rounds, lines.T, color=INK, alpha=0.5, marker=marker)
            axis.set(ylabel="log density")
        axis.set(title=name, xlabel="round")
        for bound in course.bounds if name == "warm-up" else ():
            axis.axvline(bound + 0.5, color=RED, linestyle="--")
    caption = (
        f"Log density of the stored chains, averaged over {len(parts[0][2])} groups of them, round by round. "
        f"{'The warm-up is shown as the distance from where it ended, logarithmic away from 0. ' if fall else ''}"
        f"{'Dashed: where scout ends and equilibrate begins. ' if course.bounds else ''}"
        "It should climb, then stand; in sample the lines should mix."
    )
    return finished(figure, "Log density against round for each group of chains.", caption)


def _end(lines: np.ndarray) -> tuple[float, float]:
    """Median and range of the last round, the latter at least 1; lines: [group, round]."""
    if not lines.size:
        return 0.0, 1.0
    last = lines[:, -1]
    return float(np.median(last)), max(1.0, float(np.ptp(last)))


def _decades(unit: float, fall: float) -> list[float]:
    """0 and a few powers of ten below it, from `unit` to `fall`."""
    first, last = int(np.ceil(np.log10(unit))), int(np.floor(np.log10(fall)))
    step = 1 + (last - first) // 5
    return [0.0, *(-(10.0**power) for power in range(last, first - 1, -step))]


def histograms(
    ess: tuple[np.ndarray, np.ndarray], rhat: tuple[np.ndarray, np.ndarray], goal: float | None, limit: float | None
) -> Picture:
    """ess_online and nested R-hat of all coordinates; each as (of the shared, of the others); with goal and limit."""
    parts = [
        ("ess_online", *ess, goal, "goal"),
        ("nested R-hat", *rhat, limit, "limit"),
    ]
    shown = [part for part in parts if np.isfinite(np.concatenate(part[1:3])).any()]
    figure, axes = panels(1, len(shown), 2.4)
    for axis, (name, shared, others, line, word) in zip(axes[0], shown, strict=True):
        _histogram(axis, name, shared, others)
        if line is not None:
            axis.axvline(line, color=RED, linestyle="--", label=f"{word} {line:.4g}")
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=7, columnspacing=1.0)
    caption = (
        f"{' and '.join(part[0] for part in shown)} of all {sum(map(len, ess)):,} coordinates, counts on a logarithmic "
        "scale. Dashed: the goal for all coordinates, and the limit that perfect chains stay below 99 times in 100."
    )
    return finished(figure, "Histograms over all coordinates with the goals as lines.", caption)


def _histogram(axis: Axes, name: str, shared: np.ndarray, others: np.ndarray) -> None:
    known = [values[np.isfinite(values)] for values in (shared, others)]
    both = np.concatenate(known)
    logarithmic = name == "ess_online" and both.min() > 0
    span = (np.log10(both.min()), np.log10(both.max())) if logarithmic else (both.min(), both.max())
    if span[0] == span[1]:
        span = (span[0] - 1e-3, span[1] + 1e-3)
    edges = np.linspace(*span, BINS + 1)
    edges = 10**edges if logarithmic else edges
    # Rounding must not push the lowest and the highest out.
    edges[[0, -1]] = min(edges[0], both.min()), max(edges[-1], both.max())
    axis.hist(both, edges.tolist(), color=GREY, label=f"all {len(both):,}")
    if len(known[0]) and len(known[1]):
        axis.plot(known[0], np.full(len(known[0]), 1.0), "^", color=BLUE, label=f"shared {len(known[0]):,}", zorder=3)
    if logarithmic:
        axis.set_xscale("log")
    if logarithmic and span[1] - span[0] < 1.5:
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set(yscale="log", xlabel=name, ylabel="coordinates")
    axis.set_ylim(bottom=0.5)


def traces_and_ranks(label: str, note: str, draws: np.ndarray, members: list[np.ndarray]) -> Picture:
    """One coordinate: its draws with the mean of each group of chains, and the ranks of each group.

    draws: [chain, draw]; members: the chains of each group; note: its diagnostics in words.
    """
    figure, ((trace, rank),) = panels(1, 2, 2.1, width_ratios=[1.5, 1])
    steps = 1 + np.arange(draws.shape[1])
    trace.plot(steps, draws.T, ".", color=GREY, markersize=2, rasterized=True)
    means = np.stack([draws[chains].mean(axis=0) for chains in members])
    for place, line in enumerate(means):
        trace.plot(steps, line, color=INK if place % 2 else BLUE, linewidth=0.7, marker="." if len(steps) < 3 else "")
    trace.set(xlabel="draw", ylabel=axis_label(label))
    counts = rank_counts(draws, members)
    edges = np.linspace(0, 1, counts.shape[1] + 1)
    for place, row in enumerate(counts):
        rank.stairs(place + 0.5 * row + 0.5, edges, baseline=place + 0.5, fill=True, color=GREY if place % 2 else BLUE)
        rank.axhline(place + 1, color=INK, linewidth=0.6, linestyle=":")
    rank.set(xlabel="rank among all draws", ylabel="group of chains", yticks=[1, len(members)])
    return finished(figure, f"Trace and rank plot of {label}.", f"{label}: {note}")


def ladder_picture(ladder: Mapping[str, Any]) -> Picture:
    """Acceptance of swaps between neighbours, and what beta multiplies at each rung."""
    rungs = ladder["rungs"]
    beta = np.array([rung["beta"] for rung in rungs])
    swaps = np.array([np.nan if rung["swap"] is None else rung["swap"] for rung in rungs[:-1]])
    energy = np.array([np.nan if rung["energy"] is None else rung["energy"] for rung in rungs])
    figure, ((left, right),) = panels(1, 2, 2.1)
    left.bar(np.arange(len(swaps)), swaps, color=GREY, edgecolor=INK, linewidth=0.6)
    left.set(xlabel="pair of rungs", ylabel="swaps accepted", ylim=(0, 1), xticks=np.arange(len(swaps)))
    left.set_xticklabels([f"{i}-{i + 1}" for i in range(len(swaps))], rotation=90 if len(swaps) > 8 else 0)
    right.plot(beta, energy, "o-", color=INK, markersize=3)
    right.set(xlabel="beta", ylabel="mean of what beta multiplies")
    known = energy[np.isfinite(energy)]
    if known.size and np.ptp(known) > WIDE * max(1.0, float(np.abs(known).min())):
        right.set_yscale("symlog")
    caption = (
        f"The ladder of {len(rungs)} temperatures: swaps accepted between neighbours, equal where temperatures are "
        "adapted; and the tempered log density against beta, whose area is the log evidence where it reaches the prior."
    )
    return finished(figure, "Swap rates of the ladder and its energies.", caption)
