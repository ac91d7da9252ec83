"""What people are told of workers that died, out of what Ray says of each."""

import re
from collections.abc import Iterable

ERROR_LINE = re.compile(r"[\w.]*(Error|Exception)\b")
"""The line of a traceback that names the exception."""


def never_started(death: Exception) -> bool:
    """Whether the worker could not be made of what was sent to it (True), or was lost while it held shards (False)."""
    return bool(getattr(death, "actor_init_failed", False))


def gist(death: Exception) -> str:
    """What ended the worker, as a sentence: the exception of a worker that never started, else Ray's first line.

    The rest of what Ray says is about Ray.
    """
    lines = str(death).strip().splitlines()
    named = [line for line in lines if ERROR_LINE.match(line)] if never_started(death) else []
    return (named[-1] if named else lines[0]).rstrip(".") + "."


def given_up(shards: Iterable[int], times: int, death: Exception, peak: int) -> str:
    """Why no more workers are spent on these shards. peak: memory [bytes] that theirs used in earlier rounds."""
    told = f"The worker of shards {numbers(shards)} died {times} times in one round, the last time with: {gist(death)} "
    return told + (_unlike_here() if never_started(death) else _memory(peak))


def numbers(items: Iterable[int]) -> str:
    """A list for a sentence."""
    return ", ".join(str(item) for item in items)


def _unlike_here() -> str:
    return (
        "It could not load the code or data that it was sent, and never started: install on its machine the packages "
        "of this one, in the same versions, or run from the folder of your own modules, which workers then see too."
    )


def _memory(peak: int) -> str:
    return (
        f"It used up to {peak / 1e9:.2f} GB in earlier rounds. The usual cause is too little memory: run fewer workers "
        "on a machine, make shards smaller, or ask for more."
    )
