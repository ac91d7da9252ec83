"""From validation errors to sentences: each key with its path, what was given, what is allowed, what to do."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ensemble.errors import MaxwellError
from workflows.settings.source import KeyPath, lookup, short


class WrongKey(ValueError):
    """A section does not fit another one: names the key at fault, as a validator alone cannot."""

    def __init__(self, location: KeyPath, reason: str) -> None:
        super().__init__(reason)
        self.location = location


class SettingsError(MaxwellError):
    """The settings cannot be used; `problems` holds every reason, one sentence each."""

    def __init__(self, source: str, problems: Iterable[str]) -> None:
        self.source = source
        self.problems = list(problems)
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{count} problem{'s' if count > 1 else ''} in {self.source}:"
        return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])


def explain(schema: type[BaseModel], content: dict[str, Any], error: ValidationError) -> list[str]:
    """One sentence for each key at fault, in the order of the schema.

    A value that may be of several kinds fails once a kind; all of these are the same sentence and said once.
    """
    sentences = [_sentence(schema, content, item) for item in error.errors(include_url=False)]
    return list(dict.fromkeys(sentences))


def allowed(field: FieldInfo) -> str:
    """What a key may be, in words."""
    section = section_of(field)
    if section is not None:
        return f"a section with the keys {', '.join(section.model_fields)}"
    extra = field.json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else str(field.annotation)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The schema of a field that is a section, None for a key."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _sentence(schema: type[BaseModel], content: dict[str, Any], item: Any) -> str:
    location = tuple(str(part) for part in item["loc"])
    if item["type"] in ("extra_forbidden", "invalid_key"):
        return _unknown(schema, location)
    reason = None
    if item["type"] == "value_error":
        reason = item["ctx"]["error"]
        location = getattr(reason, "location", location)
    path, field = _field(schema, location)
    given = "missing" if item["type"] == "missing" else f"given {_given(content, path, field)}"
    meaning = f" ({field.description})" if field.description else ""
    return f"{'.'.join(path)}{meaning}: {given}; {reason or 'allowed: ' + allowed(field)}"


def _given(content: dict[str, Any], path: KeyPath, field: FieldInfo) -> str:
    found, value = lookup(content, path)
    return short(value) if found else f"{short(field.default)} (the default)"


def _field(schema: type[BaseModel], location: KeyPath) -> tuple[KeyPath, FieldInfo]:
    """The innermost key on `location`, which goes on into list items and kinds of value."""
    field = schema.model_fields[location[0]]
    section = section_of(field)
    if section is None or len(location) == 1:
        return location[:1], field
    path, inner = _field(section, location[1:])
    return (location[0], *path), inner


def _unknown(schema: type[BaseModel], location: KeyPath) -> str:
    here = schema
    for key in location[:-1]:
        here = section_of(schema.model_fields[key]) or schema
    prefix = "".join(f"{key}." for key in location[:-1])
    names = _elsewhere(schema, location[-1])
    names = names or [prefix + key for key in difflib.get_close_matches(location[-1], list(here.model_fields), n=1)]
    if names:
        return f"{'.'.join(location)}: unknown key; did you mean {' or '.join(names)}?"
    return f"{'.'.join(location)}: unknown key; allowed here: {', '.join(prefix + key for key in here.model_fields)}"


def _elsewhere(schema: type[BaseModel], key: str) -> list[str]:
    """The sections in which `key` would be right."""
    sections = {name: section_of(field) for name, field in schema.model_fields.items()}
    return [f"{name}.{key}" for name, section in sections.items() if section and key in section.model_fields]
