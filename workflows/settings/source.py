"""From text to nested dictionaries: YAML files, shipped configs, `a.b=c` overrides, every problem collected."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str, ...]
"""Where a key stands: ("goals", "ess")."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 1e5 as a number (YAML 1.2; version 1.1 reads text) and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(str(key_node.value))
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def parse_yaml(text: str) -> Any:
    """The value that `text` means; raises yaml.YAMLError."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def yaml_problem(error: yaml.YAMLError) -> str:
    """One line: where the text is no YAML, and why."""
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return reason if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {reason}"


def shipped_configs() -> list[str]:
    """The names of the configs that come with the program."""
    names = (entry.name for entry in resources.files("configs").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def read_config(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The content of a YAML file, or of a shipped config by its bare name, and the problems met."""
    try:
        text = _config_text(path)
        content = parse_yaml(text)
    except FileNotFoundError:
        return {}, [_missing(path)]
    except (OSError, ValueError) as error:
        return {}, [f"{path} cannot be read as text: {error}"]
    except yaml.YAMLError as error:
        return {}, [f"{path} is not valid YAML: {yaml_problem(error)}"]
    if content is None:
        return {}, []
    if not isinstance(content, dict):
        return {}, [f"{path} holds {short(content)}; it must hold sections such as `model:` and `goals:`"]
    return content, []


def _config_text(path: Path) -> str:
    if not path.is_file() and str(path) in shipped_configs():
        return (resources.files("configs") / f"{path}.yaml").read_text(encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _missing(path: Path) -> str:
    shipped = shipped_configs()
    close = difflib.get_close_matches(path.stem, shipped, n=1)
    hint = f"did you mean {close[0]}?" if close else f"shipped configs: {', '.join(shipped)}"
    return f"there is no file {path}, and no shipped config of that name; {hint}"


Changes = Mapping[str, Any] | Iterable[str | Mapping[str, Any]]
"""Changed settings: texts `a.b=c`, or dictionaries whose keys may be dotted and whose values may be dictionaries."""


def read_overrides(overrides: Changes) -> tuple[list[tuple[KeyPath, Any]], list[str]]:
    """The (path, value) pairs of changed settings, whole sections taken apart key by key, and the problems met."""
    leaves: list[tuple[KeyPath, Any]] = []
    problems: list[str] = []
    for change in [overrides] if isinstance(overrides, Mapping) else overrides:
        try:
            leaves.extend(_read_override(change) if isinstance(change, str) else _read_dictionary(change))
        except ValueError as error:
            problems.append(f"override {change!r}: {error}")
    return leaves, problems


def _read_dictionary(changes: Mapping[str, Any]) -> list[tuple[KeyPath, Any]]:
    return [leaf for name, value in changes.items() for leaf in _leaves(_key_path(name), value)]


def _read_override(text: str) -> list[tuple[KeyPath, Any]]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("has no =; write section.key=value, as in goals.ess=200")
    path = _key_path(name)
    try:
        return _leaves(path, parse_yaml(value))
    except yaml.YAMLError as error:
        raise ValueError(f"the value is not valid YAML: {yaml_problem(error)}") from None


def _key_path(name: str) -> KeyPath:
    path = tuple(part.strip() for part in name.split("."))
    if not all(path):
        raise ValueError("has an empty key; write section.key=value, as in goals.ess=200")
    return path


def _leaves(path: KeyPath, value: Any) -> list[tuple[KeyPath, Any]]:
    if isinstance(value, dict) and value:
        return [leaf for key, inner in value.items() for leaf in _leaves((*path, key), inner)]
    return [(path, value)]


def merge(content: dict[str, Any], leaves: Sequence[tuple[KeyPath, Any]]) -> dict[str, Any]:
    """A copy of `content` with the values of `leaves` put in; what stands in the way of a path is replaced."""
    for path, value in leaves:
        content = _put(content, path, value)
    return content


def _put(content: Any, path: KeyPath, value: Any) -> dict[str, Any]:
    base = content if isinstance(content, dict) else {}
    first, *rest = path
    return {**base, first: _put(base.get(first), tuple(rest), value) if rest else value}


def lookup(content: Any, path: KeyPath) -> tuple[bool, Any]:
    """Whether `path` leads to a value in `content`, and the value."""
    for key in path:
        if not isinstance(content, dict) or key not in content:
            return False, None
        content = content[key]
    return True, content


def short(value: Any, width: int = 60) -> str:
    """`value` as Python writes it, cut to `width` characters."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."
