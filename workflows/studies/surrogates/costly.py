"""Networks where they should pay: an ODE fit of 8 parameters whose gradient costs milliseconds.

    python -m workflows.studies.surrogates.costly --goals 500 2000 10000 --out FILE.jsonl
    python -m workflows.studies.surrogates.costly --price                    what a gradient costs here

The posterior is lotka_volterra of workflows.studies.posteriors, its solver with STEPS steps a year in place of 10: as
good as the same posterior, so its reference is the truth. Lines are those of `compare`, for `table`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from workflows.studies.lines import add, missing
from workflows.studies.posteriors.judging import judge, read
from workflows.studies.posteriors.kinds.dynamics import lotka_volterra
from workflows.studies.posteriors.suite import posterior
from workflows.studies.surrogates.compare import Case, environment
from workflows.studies.surrogates.one_run import MAXWELL, Choices, of_maxwell
from workflows.studies.timed import timed

STEPS = 200
NAME = "lotka_volterra"
REFERENCE = Path("tests/references/posteriors/lotka_volterra.npz")
WIDTHS = {"start": 2, "theta": 4, "sigma": 2}
"""Of the variables, in the order in which draws hold them side by side."""
MINUTES = 15.0
"""Limit of a run."""


def price(times: int = 50) -> tuple[float, float]:
    """Core-seconds of a gradient on its own, and of one of four that are computed together as a shard does."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree
    from numpyro.infer.util import initialize_model

    model, data = lotka_volterra(STEPS)
    found = initialize_model(jax.random.key(0), model, model_kwargs=data)
    at, unravel = ravel_pytree(found.param_info.z)
    slope = jax.value_and_grad(lambda x: found.potential_fn(unravel(x)))
    prices = []
    for function, where in ((slope, at), (jax.vmap(slope), jnp.tile(at, (4, 1)))):
        compiled = jax.jit(function)
        jax.block_until_ready(compiled(where))
        began = time.process_time()
        for _ in range(times):
            jax.block_until_ready(compiled(where))
        prices.append((time.process_time() - began) / times / max(1, where.size // at.size))
    return prices[0], prices[1]


def run(case: Case) -> dict[str, Any]:
    """Run and judge a case: its line."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "draws.npz"
        asked = ["--one", case.sampler, "--goals", str(case.goal), "--seeds", str(case.seed), "--out", str(out)]
        arguments = ["-m", "workflows.studies.surrogates.costly", *asked]
        line = case._asdict() | timed(arguments, 60.0 * (MINUTES + 5.0), environment(), out.parent)
        if line["error"] is None:
            with np.load(out, allow_pickle=False) as arrays:
                line |= json.loads(str(arrays["facts"])) | verdict(arrays["x"])
    return line


def verdict(x: np.ndarray) -> Mapping[str, Any]:
    """Draws [chains, draws, 8] held against the reference."""
    parts = np.split(x, np.cumsum(list(WIDTHS.values()))[:-1], axis=2)
    draws = dict(zip(WIDTHS, parts, strict=True))
    return {"draws": x.shape[0] * x.shape[1], **judge(posterior(NAME), draws, read(REFERENCE))}


def main() -> None:
    """Make the runs whose lines are missing, one after another; or one of them, in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--goals", type=float, nargs="+", default=[500.0, 2000.0, 10000.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--samplers", nargs="+", choices=MAXWELL, default=list(MAXWELL))
    parser.add_argument("--one", choices=MAXWELL, help="this sampler, and the first of goals and seeds, here")
    parser.add_argument("--price", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.price:
        print("a gradient costs {:.2g} s alone and {:.2g} s as one of four".format(*price()))
    elif arguments.one:
        model, data = lotka_volterra(STEPS)
        choices = Choices(arguments.seeds[0], arguments.goals[0], MINUTES)
        draws, facts = of_maxwell(model, arguments.one, choices, data, tuple(WIDTHS))
        np.savez(arguments.out, allow_pickle=False, facts=np.array(json.dumps(facts)), x=draws)
    else:
        cases = map(Case._make, product([NAME], arguments.samplers, arguments.goals, arguments.seeds))
        for case in missing(cases, arguments.out):
            line = run(case)
            add(line, arguments.out)
            print(*case, line["error"] or f"{line['core_seconds']} core-seconds, {line['gradients']:.0f}", flush=True)


if __name__ == "__main__":
    main()
