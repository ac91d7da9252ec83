"""A run in a few lines: what an interpreter or a notebook shows of it."""

from collections.abc import Mapping
from html import escape
from typing import Any

from workflows.results.inspect import number, unmet_goals

NEXT = 'run.data for ArviZ, run.summary(), run.diagnostics(), run.export(), run.resume(goals={"ess": ...})'


def rows(summary: Mapping[str, Any], temporary: bool) -> list[tuple[str, str]]:
    """(label, text) of what a run reached and where it is. summary: as `inspect_store` gives it."""
    ess, shared, rhat, limit = (
        number(summary[key])
        for key in ("ess_online_min", "ess_online_shared_min", "nested_rhat_max", "nested_rhat_limit")
    )
    return [
        ("model", f"{number(summary['model'])}, {number(summary['d'])} parameters"),
        ("draws", f"{number(summary['draws'])} of each of {number(summary['chains'])} chains"),
        ("ESS", f"min {ess}, shared parameters min {shared}"),
        ("nested R-hat", f"max {rhat} (limit {limit})"),
        ("goals", _goals(summary)),
        ("store", "temporary, removed with this object" if temporary else str(summary["path"])),
    ]


def _goals(summary: Mapping[str, Any]) -> str:
    if not summary["goals_met"]:
        return f"not looked at yet, in stage {number(summary['stage'])}"
    return "; ".join(f"unmet: {goal}" for goal in unmet_goals(summary)) or "all met"


def as_text(summary: Mapping[str, Any], temporary: bool) -> str:
    """For an interpreter."""
    lines = [f"  {label:12}  {text}" for label, text in rows(summary, temporary)]
    return "\n".join(["maxwell.Run", *lines, f"  {NEXT}"])


def as_html(summary: Mapping[str, Any], temporary: bool) -> str:
    """For a notebook."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(label)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
        for label, text in rows(summary, temporary)
    )
    return f"<table><caption>maxwell.Run</caption>{cells}</table><code>{escape(NEXT)}</code>"
