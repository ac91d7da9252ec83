"""What goes wrong in code of a user's model: told by the user's own lines, whoever called them. Light.

JAX turns what a callback raises into an error of its own that has but the text of it; the exception is kept here until
that arrives.
"""

import logging
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ensemble.errors import MaxwellError, ModelFailed

MOST_FRAMES = 6
"""Own lines that a message has, the innermost."""

MOST_TEXT = 6
"""Lines of an exception's own text that a message has; those of JAX go on and on."""

_ROOT = Path(__file__).resolve().parent.parent
_OURS = (*(f"{_ROOT / room}/" for room in ("kernels", "ensemble", "workflows")), str(_ROOT / "maxwell.py"))
_LIBRARIES = tuple(
    f"{folder.rstrip('/')}/"
    for folder in {
        *(sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
        site.getusersitepackages(),
    }
)
_GENERATED = ("<frozen", "<string>", "<__array_function__")
"""How the names begin of code that is in no file and was not typed either."""

_JAX_ERRORS = ("JaxRuntimeError", "XlaRuntimeError")
_JAX_LOGGER = logging.getLogger("jax._src.callback")


class _Callbacks(logging.Filter):
    """The last exception of a callback, by JAX's log of it, which nobody is shown a second time."""

    def __init__(self) -> None:
        super().__init__()
        self.raised: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            self.raised = record.exc_info[1]
            return False
        return True


_CALLBACKS = _Callbacks()


@contextmanager
def told_by_its_lines(model: str | None = None) -> Iterator[None]:
    """A block that calls code of a user's model. Raises ModelFailed, chained to what was raised there, where that was
    in a line of the user's; errors of this program and MaxwellErrors pass, and KeyboardInterrupt, also out of a
    callback. model: its name, where it is known."""
    _JAX_LOGGER.addFilter(_CALLBACKS)  # once, however often it is asked for
    _CALLBACKS.raised = None
    try:
        yield
    except MaxwellError:
        raise
    except (Exception, SystemExit) as error:
        found = _CALLBACKS.raised if _is_of_callback(error) and _CALLBACKS.raised is not None else error
        if isinstance(found, MaxwellError | KeyboardInterrupt):
            raise found from None
        if not (lines := own_lines(found, model)):
            raise
        raise ModelFailed(_sentence(found, model, lines)) from found


def _is_of_callback(error: BaseException) -> bool:
    """Whether JAX may say by it that a callback raised: an error of its own or, in workers of Ray, a ValueError."""
    return type(error).__name__ in _JAX_ERRORS or "allback error" in str(error)


def own_lines(error: BaseException, model: str | None = None) -> list[str]:
    """The lines of the user's that an exception came through, as a traceback shows them; none where it was raised by
    this program, or by a library that it called."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename, model)]
    if not frames or frames[-1].filename.startswith(_OURS):
        return []
    own = [frame for frame in frames if not frame.filename.startswith(_OURS)][-MOST_FRAMES:]
    return [line for frame in own for line in _shown(frame)]


def _shown(frame: traceback.FrameSummary) -> list[str]:
    where = f"  {frame.filename}, line {frame.lineno}, in {frame.name}"
    return [where, f"    {frame.line}"] if frame.line else [where]


def _is_library(file: str, model: str | None) -> bool:
    """Whether a file is of Python or of an installed package, but for that of the model: it may be installed too."""
    if file.startswith((*_OURS, _home_of(model))):
        return False
    return file.startswith((*_LIBRARIES, *_GENERATED))


def _home_of(model: str | None) -> str:
    """The folder of the package, or the file of the module, that module:function is of; a name of no file otherwise."""
    package = sys.modules.get((model or "").partition(":")[0].partition(".")[0]) if model and ":" in model else None
    file = getattr(package, "__file__", None)
    if file is None:
        return "\0"
    return file.removesuffix("__init__.py")


def _sentence(error: BaseException, model: str | None, lines: list[str]) -> str:
    named = "the model" if model is None else f"model {model!r}"
    if isinstance(error, SystemExit):
        what = f"called sys.exit({'' if error.code is None else repr(error.code)})"
    else:
        text = "\n".join(str(error).strip().splitlines()[:MOST_TEXT])
        what = f"raised {type(error).__name__}" + (f": {text}" if text else "")
    return "\n".join([f"{named}: its code {what}", *lines])
