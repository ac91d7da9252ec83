"""What a store says of its run, read without taking the lock and without loading a draw; as plain values."""

import json
import math
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ensemble.store.protocol import RunReader

from workflows.modelling.naming import AS_OBJECT

SUMMARY_KEYS = (
    "model",
    "stage",
    "seed",
    "chains",
    "draws",
    "sweeps",
    "d",
    "goals_met",
    "nested_rhat_max",
    "nested_rhat_limit",
    "nested_rhat_shared_max",
    "ess_online_min",
    "ess_online_median",
    "ess_online_shared_min",
    "acceptance",
    "swap_rates",
    "nonfinite",
    "divergences",
    "wall_seconds",
    "core_seconds",
    "kernel_seconds",
    "compile_seconds",
    "structure",
    "joined",
    "worst",
    "versions",
)
"""What every inspection holds, None where the run does not know it yet; the run may add more."""


APART = 1.1
"""Nested R-hat above which superchains are named."""


def inspect_store(path: str | Path) -> dict[str, Any]:
    """The summary of the run at `path`, as plain JSON values (None for NaN and infinity).

    Beside SUMMARY_KEYS: path, settings, bytes (measured on disk), resume_command.
    Raises StoreError when there is no store at `path` or it is damaged.
    """
    from ensemble.store.opening import reader  # reads Zarr and xarray in: only where a store is opened

    return summary_of(reader(path))


def summary_of(reader: "RunReader") -> dict[str, Any]:
    """The summary of the state that `reader` stands at."""
    return summarise(reader.attributes, reader.locator, reader.size())


def summarise(attributes: Mapping[str, Any], path: str | Path, size: int) -> dict[str, Any]:
    """The summary in a store's root attributes, completed; `size` in bytes."""
    known = dict(attributes.get("summary") or {})
    found = {key: known.get(key, attributes.get(key)) for key in SUMMARY_KEYS}
    result: dict[str, Any] = plain(
        {"path": str(path), **known, **found, "settings": attributes.get("settings"), "bytes": size}
    )
    command = _python_call if attributes.get(AS_OBJECT) else resume_command
    return {**result, "resume_command": command(path, overrides=higher_limits(result))}


def plain(value: Any) -> Any:
    """`value` with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(summary: Mapping[str, Any]) -> str:
    """The summary as JSON text."""
    return json.dumps(summary, indent=2, allow_nan=False)


def resume_command(path: str | Path, local: bool = False, overrides: Iterable[str] = ()) -> str:
    """The command that goes on with the run at `path`."""
    return shlex.join(["maxwell", "resume", str(path), *overrides, *(["--local"] if local else [])])


def _python_call(path: str | Path, overrides: Iterable[str] = ()) -> str:
    """The call that goes on with a run whose model was given as an object."""
    changes = list(overrides)
    return f"maxwell.resume({str(path)!r}, model, data{f', settings={changes}' if changes else ''})"


def higher_limits(summary: Mapping[str, Any]) -> list[str]:
    """Overrides that double each limit that the run has reached with goals unmet: without them it stops at once."""
    limits = (summary["settings"] or {}).get("limits") or {}
    minutes = (summary["wall_seconds"] or 0) / 60
    reached = {"sweeps": summary["sweeps"] or 0, "minutes": minutes}
    unmet = bool(unmet_goals(summary))
    stops = [name for name, value in reached.items() if unmet and limits.get(name) and value >= limits[name]]
    return [f"limits.{name}={2 * limits[name]:g}" for name in stops]


def unmet_goals(summary: Mapping[str, Any]) -> list[str]:
    """One line for each goal that is not met: what was reached, and what was wanted.

    goals_met: {goal: bool}, with the names of the section `goals` of the settings, and `chains`.
    """
    values = goal_values(summary)
    unmet = [goal for goal, met in (summary.get("goals_met") or {}).items() if not met]
    lines = [
        f"goals.{goal}: {number(values[goal][0])}, wanted {number(values[goal][1])}" for goal in unmet if goal in values
    ]
    if "chains" in unmet:
        lines += _chains_apart(summary)
    if "drift" in unmet and summary.get("drift") is not None:
        lines.append(
            f"drift: the first part of the stage `sample` lies {number(summary.get('drift'))} standard errors from the "
            f"rest, and chance explains {number(summary.get('drift_limit'))}: the chains were still on their way"
        )
    if "trajectories" in unmet and summary.get("failed_trajectories") is not None:
        lines.append(
            f"trajectories: {summary['failed_trajectories']:.0%} were nearly certain to be rejected, and "
            f"{summary['failed_trajectories_limit']:.0%} may be: there are places where their steps are too long, "
            "such as the neck of a funnel or a heavy tail, and these are left out. Write the model another way there "
            "(effects in units of their scale), or give it a prior that ends sooner"
        )
    return [*lines, *_superchains_apart(summary, unmet)]


def _chains_apart(summary: Mapping[str, Any]) -> list[str]:
    """Why single chains stand against the result."""
    furthest, limit = summary.get("furthest_chain"), summary.get("furthest_chain_limit")
    strays, floor, lines = summary.get("strays") or {}, summary.get("floor"), []
    if furthest is not None and limit is not None and furthest > limit:
        lines.append(
            f"chains: the mean of one chain lies {number(furthest)} standard deviations from those of all others, and "
            f"chance explains {number(limit)}: it has been in another mode, or was still on its way"
        )
    if strays and floor is not None:
        named = ", ".join(f"chain {chain} ({number(low)})" for chain, low in list(strays.items())[:5])
        lines.append(
            f"chains: at log densities that the others do not explain (below {number(floor)}): {named}. Such draws are "
            "no draws of the same posterior: begin anew with another seed, or with starts nearer to the posterior "
            "(start.kind, start.radius)"
        )
    return lines


def _superchains_apart(summary: Mapping[str, Any], unmet: list[str]) -> list[str]:
    """Which superchains disagree with the others, about what, and what to do."""
    rows = [row for row in summary.get("apart") or [] if row["rhat"] is None or row["rhat"] > APART]
    if not rows or not {"rhat", "shared_rhat"} & set(unmet):
        return []
    found = sorted({row["superchain"] for row in rows})
    about = ", ".join(dict.fromkeys(f"{row['site']}{row['index'] or ''}" for row in rows[:5]))
    return [
        f"superchains {', '.join(map(str, found))} stand apart from the others, most about {about}: either there "
        "are several modes (tempering.hottest with tempering.rungs lets chains change between them), or these have not "
        "arrived (another start.kind, or more equilibrate.max_rounds)"
    ]


def goal_values(summary: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What was reached and what was wanted of every goal, by its name in the settings; None for what is not known."""
    wanted = (summary.get("settings") or {}).get("goals") or {}
    rhat = _rhat_goal(summary, wanted.get("rhat"))
    ess = wanted.get("ess")
    wanted = {**wanted, "rhat": rhat, "tail_rhat": rhat, "tail_ess": ess, "log_density": ess}
    of_draws = wanted.get("of", "sweeps") == "draws"
    kind = "ess_stored" if of_draws else "ess_online"
    reached = {
        "ess": summary.get(f"{kind}_min"),
        "rhat": summary.get("nested_rhat_max"),
        "shared_ess": summary.get(f"{kind}_shared_min"),
        "shared_rhat": summary.get("nested_rhat_shared_max"),
        "draws": summary.get("draws"),
        "tail_ess": summary.get("tail_ess_stored_min" if of_draws else "tail_ess_min"),
        "tail_rhat": summary.get("tail_rhat_max"),
        "log_density": summary.get("log_density_ess_stored" if of_draws else "log_density_ess"),
    }
    return {goal: (value, wanted.get(goal)) for goal, value in reached.items()}


def _rhat_goal(summary: Mapping[str, Any], goal: Any) -> Any:
    return summary.get("nested_rhat_limit") if goal in ("auto", None) else goal


def number(value: Any) -> str:
    """A value of any kind in few digits; a dash for what is not known."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
