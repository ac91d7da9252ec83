"""The settings of a run, from a file, from a dictionary, or for going on with a stored run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from workflows.settings.errors import SettingsError, allowed, section_of
from workflows.settings.schema import Settings
from workflows.settings.source import Changes, KeyPath, lookup, merge, read_config, read_overrides, short

__all__ = ["Settings", "SettingsError", "describe", "load_settings", "make_settings", "require_same", "resume_settings"]

RESUMABLE = ("goals", "limits", "ensemble.workers", "ensemble.address", "ensemble.start_seconds")
"""What a resumed run may change: when to stop, and on what to run; never what is drawn."""

MAY_CHANGE = "goals.*, limits.*, ensemble.workers, ensemble.address and ensemble.start_seconds"


def load_settings(path: Path, overrides: Changes = ()) -> Settings:
    """The settings in a YAML file, or in a shipped config named without its ending, changed by `a.b=c` overrides.

    Raises SettingsError, which lists everything that is wrong, not only the first thing.
    """
    content, problems = read_config(path)
    if problems:
        raise SettingsError(str(path), problems + read_overrides(overrides)[1])
    return make_settings(content, overrides, name=path.stem, source=str(path))


def make_settings(
    content: Mapping[str, Any], overrides: Changes = (), name: str = "run", source: str = "the settings"
) -> Settings:
    """The settings in a nested dictionary, changed by `a.b=c` overrides; raises SettingsError as `load_settings`."""
    leaves, problems = read_overrides(overrides)
    settings, faults = Settings.checked(merge(dict(content), leaves), name)
    if settings is None or problems:
        raise SettingsError(source, problems + faults)
    return settings


def resume_settings(stored: Mapping[str, Any], overrides: Changes = (), name: str = "run") -> Settings:
    """The settings of a stored run with new goals, limits or workers; raises SettingsError on any other change.

    stored: what `Settings.model_dump(mode="json")` gave when the run began.
    """
    before, faults = Settings.checked(stored, name)
    if before is None:
        raise SettingsError("the settings stored in the run; was it made by another version?", faults)
    content = before.model_dump(mode="json")
    leaves, problems = read_overrides(overrides)
    accepted = [leaf for leaf in leaves if _may_change(content, *leaf)]
    problems += [_refusal(content, *leaf) for leaf in leaves if leaf not in accepted]
    after, faults = Settings.checked(merge(content, accepted), name)
    if after is None or problems:
        raise SettingsError(f"the changes for a resumed run, which may set only {MAY_CHANGE}", problems + faults)
    return after


def require_same(stored: Mapping[str, Any], wanted: Settings) -> None:
    """Raise SettingsError unless the run that began with the settings `stored` draws what `wanted` asks for, so that it
    may go on with them: only goals, limits and workers may differ."""
    before, after = _fixed(stored), _fixed(wanted.model_dump(mode="json"))
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if differing:
        said = [f"{name}: the run has {_given(before, name)}, now {_given(after, name)}" for name in differing]
        advice = f"go on with the settings that it began with (only {MAY_CHANGE} may differ), or name another place"
        raise SettingsError("the settings, for a run that has begun", [*said, advice])


def _fixed(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """What a run must keep, flat: values by dotted names."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{above}{key}"
        if any(name == free or name.startswith(f"{free}.") for free in RESUMABLE):
            continue
        found.update(_fixed(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return found


def _given(flat: Mapping[str, Any], name: str) -> str:
    return short(flat[name]) if name in flat else "nothing"


def _may_change(content: dict[str, Any], path: KeyPath, value: Any) -> bool:
    """Whether a resumed run may set `path`; a key that no run has passes, for validation names the nearest one."""
    name = ".".join(path)
    found, before = lookup(content, path)
    unknown = not found and path[0] != "model"
    return unknown or before == value or any(name == key or name.startswith(key + ".") for key in RESUMABLE)


def _refusal(content: dict[str, Any], path: KeyPath, value: Any) -> str:
    found, before = lookup(content, path)
    stored = f"the stored value is {short(before)}" if found else "the stored run does not set it"
    return f"{'.'.join(path)}: asked for {short(value)}, {stored}; resume without it, or start a new run"


def describe() -> str:
    """Every key with its default, what is allowed and what it means, for `maxwell run --help-settings`."""
    lines: list[str] = []
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is None:
            lines += ["", *_describe_key(name, field)]
        else:
            lines += ["", f"{name}: {section.__doc__}"]
            lines += [f"  {line}" for key, inner in section.model_fields.items() for line in _describe_key(key, inner)]
    return "\n".join(lines[1:])


def _describe_key(name: str, field: FieldInfo) -> list[str]:
    default = "required" if field.is_required() else f"default {default_text(field.default)}"
    return [f"{name} ({default})", f"    {field.description}", f"    allowed: {allowed(field)}"]


def default_text(value: Any) -> str:
    """A default as YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
