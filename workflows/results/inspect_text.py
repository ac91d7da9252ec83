"""The summary of a run in words: what `maxwell inspect` prints, and what stands at the end of a run."""

import io
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from workflows.results.inspect import higher_limits, number, resume_command, unmet_goals
from workflows.results.inspect_ladder import ladder_rows, ladder_tables
from workflows.results.progress import duration, shares
from workflows.results.report.verdicts import headline


def closing_lines(summary: Mapping[str, Any], report: Iterable[str], local: bool = False) -> list[str]:
    """The end of a run in words: what was reached, what was not, the model's own table, where to go on from.

    summary: as `inspect_store` gives it. report: the lines of the model's table. local: whether `--local` was given.
    """
    path = str(summary["path"])
    lines = [*_reached(summary), *_unmet_lines(summary, local)]
    report = list(report)
    lines += ["", *report] if report else []
    return [
        *lines,
        "",
        f"Stored in {path}. Look at it again, or open the draws in ArviZ:",
        f"  {shlex.join(['maxwell', 'inspect', path])}",
        "  import maxwell",
        f"  data = maxwell.open_run({path!r}).data",
    ]


def _reached(summary: Mapping[str, Any]) -> list[str]:
    rows = _result_rows(summary)
    width = max(len(label) for label, _ in rows)
    return [f"{label:{width}}  {text}" for label, text in rows]


def _unmet_lines(summary: Mapping[str, Any], local: bool) -> list[str]:
    unmet = unmet_goals(summary)
    if not unmet:
        return []
    command = resume_command(summary["path"], local, higher_limits(summary))
    return ["", "Stopped at a limit. Goals not met:", *(f"  {goal}" for goal in unmet), "Go on with:", f"  {command}"]


def render(summary: Mapping[str, Any], width: int = 110) -> str:
    """The summary for people: the verdict and what to do, then the numbers. Plain text, no colours."""
    page = io.StringIO()
    console = Console(file=page, width=width, highlight=False, color_system=None)
    _print_lines(console, headline(summary), [*unmet_goals(summary), f"Go on with: {summary['resume_command']}"])
    console.print()
    console.print(_pairs([*_run_rows(summary), *_result_rows(summary), *_cost_rows(summary)]))
    for title, table in _tables(summary):
        console.print()
        console.print(Text(title))
        console.print(table)
    _print_lines(console, "Joined, because a term ties them:", [str(note) for note in summary["joined"] or []])
    return "\n".join(line.rstrip() for line in page.getvalue().strip("\n").splitlines())


def _print_lines(console: Console, title: str, lines: list[str]) -> None:
    if lines:
        console.print(Text("\n".join(["", title, *(f"  {line}" for line in lines)])), soft_wrap=True)


def _run_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {version}" for name, version in (summary["versions"] or {}).items())
    return [
        ("store", f"{summary['path']} ({summary['bytes'] / 1e6:,.1f} MB)"),
        ("model", f"{number(summary['model'])}, {number(summary['d'])} parameters, seed {summary['seed']}"),
        ("versions", versions or "-"),
        ("stage", f"{number(summary['stage'])}, {number(summary['sweeps'])} sweeps"),
    ]


def _result_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("draws", f"{number(summary['draws'])} a chain, {number(summary['chains'])} chains"),
        ("time", _seconds(summary["wall_seconds"])),
        (
            "ESS",
            f"min {number(summary['ess_online_min'])}, median {number(summary['ess_online_median'])}, "
            f"shared parameters min {number(summary['ess_online_shared_min'])}, over all sweeps",
        ),
        *_stored_rows(summary),
        (
            "nested R-hat",
            f"max {number(summary['nested_rhat_max'])} (limit {number(summary['nested_rhat_limit'])}), "
            f"shared parameters max {number(summary['nested_rhat_shared_max'])}",
        ),
        *ladder_rows(summary.get("ladder")),
        *_divergence_rows(summary),
    ]


def _stored_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The ESS of the stored draws, where it is known."""
    least, shared = summary.get("ess_stored_min"), summary.get("ess_stored_shared_min")
    if least is None:
        return []
    return [("ESS of draws", f"min {number(least)}, shared parameters min {number(shared)}, of those stored")]


def _divergence_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """By stage, the last one first: draws are those of `sample`. Nothing where no trajectory was."""
    parts = [
        f"{number(count['diverging'])} of {number(count['trajectories'])} trajectories in {stage}"
        for stage, count in reversed((summary.get("divergences") or {}).items())
    ]
    return [("divergences", ", ".join(parts))] if parts else []


def _cost_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    core, kernel, compiling = (summary[f"{kind}_seconds"] for kind in ("core", "kernel", "compile"))
    return [
        ("core time", f"{_seconds(core)}, in kernels {_seconds(kernel)}, compiling {_seconds(compiling)}"),
        *_kernel_rows(summary),
        ("accepted", shares(_finite(summary["acceptance"])) or "-"),
        ("swaps", shares(_finite(summary["swap_rates"])) or "-"),
        ("non-finite", f"{number(summary['nonfinite'])} proposals"),
        *([("infinite", f"{number(infinite)}")] if (infinite := summary.get("infinite")) else []),
        *(
            [("stragglers", f"{number(relocated)} relocated in warm-up")]
            if (relocated := summary.get("relocated"))
            else []
        ),
    ]


def _kernel_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Which kernel moves each level, and whether trajectories on all parameters were found worth their evaluations."""
    joint = summary.get("joint") or {}
    parts = [
        f"{level} by {kernel}" + ("" if joint.get(level, True) else " (found not worth its evaluations, left out)")
        for level, kernel in (summary.get("kernels") or {}).items()
    ]
    return [*([("moves", ", ".join(parts))] if parts else []), *_network_rows(summary)]


def _network_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What became of the networks that learn the gradient, once they were trained."""
    return [
        (
            "network",
            f"{level}: {'in use' if found['used'] else 'not in use'}, trained by {number(found['examples'])} examples, "
            f"error {number(found['error'])} of the slopes' squares, excess {number(found['excess'])}, "
            f"{number(found['accepted_on_trial'])} accepted on trial",
        )
        for level, found in (summary.get("surrogates") or {}).items()
        if found["error"] is not None
    ]


def _tables(summary: Mapping[str, Any]) -> list[tuple[str, Table]]:
    tables = []
    if summary["structure"]:
        tables.append(("Levels, as found in the model:", _table(summary["structure"])))
    tables += [(title, _table(rows)) for title, rows in ladder_tables(summary.get("ladder"))]
    if summary["worst"]:
        tables.append(("Slowest coordinates:", _table(summary["worst"])))
    return tables


def _table(rows: list[Mapping[str, Any]]) -> Table:
    """A table with the keys of the first row as its columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2))
    for key, value in rows[0].items():
        table.add_column(key, justify="right" if isinstance(value, int | float) else "left")
    for row in rows:
        table.add_row(*(Text(number(row.get(key))) for key in rows[0]))
    return table


def _pairs(rows: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for label, text in rows:
        table.add_row(Text(label), Text(text))
    return table


def _finite(values: Mapping[str, float | None] | None) -> dict[str, float]:
    return {name: value for name, value in (values or {}).items() if value is not None}


def _seconds(value: float | None) -> str:
    return "-" if value is None else duration(value)
