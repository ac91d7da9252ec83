"""The ladder of temperatures in words: rows and tables for the summary of a run."""

from collections.abc import Mapping
from typing import Any

from workflows.results.inspect import number

Ladder = Mapping[str, Any] | None
"""What a summary holds under `ladder`; None for a run, or a stage, at one temperature."""


def ladder_rows(ladder: Ladder) -> list[tuple[str, str]]:
    """The barrier and the round trips; the log evidence where there is one."""
    if not ladder:
        return []
    trips = ""
    if ladder["round_trips"] is not None:
        expected = number(ladder["round_trips_expected"])
        trips = f", {number(ladder['round_trips'])} round trips (at most about {expected} to expect)"
    rows = [("ladder", f"{len(ladder['rungs'])} temperatures, barrier {number(ladder['barrier'])}{trips}")]
    if ladder["log_evidence_by"] is not None:
        ways = (f"{way.replace('_', ' ')} {_estimate(*pair)}" for way, pair in ladder["log_evidence_by"].items())
        rows.append(("log evidence", "; ".join(ways)))
    return rows


def ladder_tables(ladder: Ladder) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Titles and rows: every rung, and what happened in some rounds."""
    if not ladder:
        return []
    rungs: list[Mapping[str, Any]] = [{**rung, "temperature": _temperature(rung)} for rung in ladder["rungs"]]
    tables = [("Temperatures, and how often replicas or blocks swap with the next:", rungs)]
    if ladder["rounds"]:
        title = "Rounds of the ladder (flow: what a round's swaps added to the log density of a cold replica):"
        tables.append((title, [_round(row) for row in ladder["rounds"]]))
    return tables


def _round(row: Mapping[str, Any]) -> dict[str, Any]:
    texts = {kind: " ".join(_short(value) for value in row[kind]) for kind in ("accepted", "energy")}
    return {"stage": row["stage"], "round": row["round"], **texts, "flow": row["flow"]}


def _temperature(rung: Mapping[str, Any]) -> str:
    return "prior" if rung["temperature"] is None else number(rung["temperature"])


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _estimate(value: float, error: float | None) -> str:
    """To a tenth of the error."""
    if error is None or not error > 0:
        return f"{value:.6g}"
    return f"{value:,.4f} ± {error:.2g}"
