"""How deep is the way to equilibrium: gradients one after another until the bias of second moments is gone.

    python -m workflows.studies.depth.benchmark [TARGET ...] [--chains 4096] [--methods ours laps meads chees nuts]

Every method gets the same starts, one a chain, and the same densities on the same coordinates. Gradients are those that
a chain waits for, warm-up and adaptation included. b2 is of the instantaneous ensemble; see
workflows.studies.depth.bias.
Rows of nuts are of another kind: total work, the gradients of 4 chains together, tuning not counted, and the bias of
their mean over time.
"""

import argparse
import time
from collections.abc import Callable, Mapping

import jax

from workflows.studies.depth import ours, rivals
from workflows.studies.depth.bias import Trace, last_crossing
from workflows.studies.depth.targets import BUILDERS, DepthTarget, depth_target

BUDGET: Mapping[str, int] = {
    "icg": 800,
    "german_credit": 1500,
    "brownian": 800,
    "item_response": 600,
    "stochastic_volatility": 1500,
}
"""Gradients of a chain after which a method is stopped."""
NUTS_CHAINS = 4
NUTS_WORK = 1_000_000
"""Gradients of all its chains after which NUTS is stopped."""
SEED = 0


def _ours(target: DepthTarget, chains: int, gradients: int) -> Trace:
    return ours.trace(target, ours.settings(target.name, chains, SEED), gradients)


def _rival(name: str) -> Callable[[DepthTarget, int, int], Trace]:
    def run(target: DepthTarget, chains: int, gradients: int) -> Trace:
        starts = target.starts(jax.random.key(ours.START), chains)
        return getattr(rivals, name)(target, chains, jax.random.key(SEED), gradients, starts=starts)

    return run


def _nuts(target: DepthTarget, chains: int, gradients: int) -> Trace:
    starts = target.starts(jax.random.key(ours.START), NUTS_CHAINS)
    return rivals.nuts(target, NUTS_CHAINS, jax.random.key(SEED), NUTS_WORK, starts=starts).trace


METHODS: Mapping[str, Callable[[DepthTarget, int, int], Trace]] = {
    "ours": _ours,
    "laps": _rival("laps"),
    "meads": _rival("meads"),
    "chees": _rival("chees"),
    "nuts": _nuts,
}


def line(target: str, method: str, trace: Trace, seconds: float) -> str:
    """A row of the table."""
    crossing = last_crossing(trace)
    cells = [str(value) if value is not None else "-" for value in crossing]
    ends = f"{trace.b2_max[-1]:.2g} / {trace.b2_avg[-1]:.2g}"
    return f"{target:<24}{method:<8}{' / '.join(cells):>14}{int(trace.gradients[-1]):>8}{ends:>20}{seconds:>9.0f}"


def main() -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description="gradients a chain until b2 < .01, maximum / average over coordinates")
    parser.add_argument("targets", nargs="*", default=list(BUILDERS), metavar="TARGET", help=", ".join(BUILDERS))
    parser.add_argument("--gradients", type=int, help="of a chain, after which a method is stopped; see BUDGET")
    parser.add_argument("--chains", type=int, default=4096)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    chosen = parser.parse_args()
    head = f"{'target':<24}{'method':<8}{'max / avg':>14}{'spent':>8}{'b2 at the end':>20}{'seconds':>9}"
    print(f"{chosen.chains} chains\n{head}")
    for name in chosen.targets:
        target = depth_target(name)
        for method in chosen.methods:
            began = time.perf_counter()
            trace = METHODS[method](target, chosen.chains, chosen.gradients or BUDGET[name])
            print(line(name, method, trace, time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
