"""Run hard posteriors under the defaults, and judge every run by the truth.

    python -m workflows.studies.posteriors.hard NAME ... --seeds 0 1 2 --out FILE.jsonl

A line of the file is a run; runs whose line is there already are not made again. All runs of a posterior are made in
one process, one after another; its programs are let go before those of the next are compiled.
"""

import argparse
import gc
import resource
from pathlib import Path

import jax

from workflows.studies.lines import add, missing
from workflows.studies.posteriors.hard.running import cases, run
from workflows.studies.posteriors.hard.suite import SUITE, hard


def main() -> None:
    """Make the runs whose lines are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[entry.name for entry in SUITE], help="all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--minutes", type=float, default=0.5, help="limits.minutes of every run")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for entry in map(hard, arguments.names):
        wanted = missing(cases(entry, arguments.seeds), arguments.out)
        if not wanted:
            continue
        model, aspects = entry.build(), entry.aspects()
        for case in wanted:
            line = run(entry, model, aspects, case, arguments.minutes)
            line["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            add(line, arguments.out)
            wrong = line.get("verdict") and not line["verdict"]["right"]
            verdict = line["error"] or f"{'met' if line['met'] else line['unmet']}{', WRONG' if wrong else ''}"
            print(f"{case.name} {case.start} {case.seed}: {verdict}, {line['seconds']} s", flush=True)
        jax.clear_caches()
        gc.collect()


if __name__ == "__main__":
    main()
