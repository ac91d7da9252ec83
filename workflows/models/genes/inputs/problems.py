"""Whatever is wrong with what was given, collected, so that a user hears of all of it at once."""

from collections.abc import Iterable

SHOWN = 5
"""Names listed at most in one sentence."""


class Unusable(Exception):
    """What was given cannot be looked at any further; one sentence for each reason."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = list(problems)


def some(names: Iterable[object]) -> str:
    """The first few of the names and how many more there are."""
    given = [str(name) for name in names]
    more = len(given) - SHOWN
    return ", ".join(given[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def repeated(names: Iterable[str]) -> list[str]:
    """The names that are there more than once, in order."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    return [name for name, count in seen.items() if count > 1]
