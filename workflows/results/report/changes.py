"""Settings of a run that are not the defaults."""

from collections.abc import Iterator, Mapping
from typing import Any

from workflows.settings.loading import make_settings

ABSENT = "not known here"
"""Stands for the default of a key that this version of the program does not have."""


def changes(stored: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of key, value and default of every stored setting that differs; the model's own keys have no default here.

    stored: the settings as the run's attributes hold them.
    """
    name = (stored.get("model") or {}).get("name") or "model"
    defaults = dict(_leaves(make_settings({"model": {"name": name}}).model_dump(mode="json")))
    rows = []
    for key, value in _leaves(stored):
        own = key.startswith("model.")
        if not own and defaults.get(key, ABSENT) == value:
            continue
        if key != "model.name":
            rows.append({"setting": key, "value": _text(value), "default": "" if own else _default(defaults, key)})
    return rows


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with dots in its path; an empty section is a value."""
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _default(defaults: Mapping[str, Any], key: str) -> str:
    return _text(defaults[key]) if key in defaults else ABSENT


def _text(value: Any) -> str:
    """As YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
