"""A process whose core-seconds are counted, children and compilation included."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def timed(arguments: Sequence[str], seconds: float, environment: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Run Python with these arguments and wait for it: wall and core seconds, and the last line of what it complained
    about. seconds: of wall time, after which it is ended. folder: for what it complains about."""
    began = time.monotonic()
    with (folder / "errors").open("w+") as errors:
        process = subprocess.Popen([sys.executable, *arguments], env=environment, stderr=errors)
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        complaint = errors.read().strip().splitlines()[-1:]
    failed = process.returncode != 0
    return {
        "wall_seconds": round(time.monotonic() - began, 2),
        "core_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "error": f"exit status {process.returncode}: {''.join(complaint)[:300]}" if failed else None,
    }
