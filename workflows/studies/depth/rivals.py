"""BlackJAX's LAPS, MEADS, ChEES and NUTS on a depth target, with the settings of its own documentation and tests.

Ensembles: E[x^2] is estimated by the mean over all chains at one step, after every step. Every gradient of a chain is
counted from the first, adaptation included: stages of the integrator x steps. Give `starts` to compare methods from the
same positions; those of the target, drawn by `key`, otherwise.
NUTS: the running mean over time and a few chains, gradients of all of them, warm-up apart: total work, not depth.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import blackjax
import blackjax.eca
import jax
import jax.numpy as jnp
import numpy as np
import optax
from blackjax.adaptation import chees_adaptation, laps_burn_in
from blackjax.adaptation import laps as laps_module
from blackjax.mcmc import dynamic_hmc

from kernels.types import Position
from workflows.modelling.errors import ModelError
from workflows.studies.depth.bias import Trace, trace_of
from workflows.studies.depth.targets import DepthTarget

UNADJUSTED_STEPS = 500
"""Longest first phase of LAPS, as its authors run it (they give it 800 at d = 2,429)."""
STEPS_PER_SAMPLE = 15
"""Integrator steps a proposal of LAPS's second phase."""
_START = 0x57A27
"""What sets the key of the starts apart from those that the samplers derive from the same key."""
_EXTRA_HALTON_STEPS = 1000
"""BlackJAX sizes ChEES's quasi-random sequence for this many steps after the adaptation."""


def laps(
    target: DepthTarget,
    chains: int,
    key: jax.Array,
    gradients: int,
    *,
    starts: Position | None = None,
    unadjusted: int = UNADJUSTED_STEPS,
    repaired: bool = False,
) -> Trace:
    """Late-adjusted parallel sampler (Robnik, Cohn-Gordon and Seljak 2025, arXiv 2601.16696), both phases.

    The first phase, unadjusted, one gradient a step, ends by LAPS's own rule, `unadjusted` steps at the latest. The
    second, adjusted, takes what the budget has left beside `unadjusted`: 15 steps a proposal, each of 2 gradients, or 5
    above 200 dimensions. repaired: the second phase keeps a step size that it has found good; BlackJAX 1.7.1 doubles
    or halves it once more, and keeps that. Raises ModelError for a budget that leaves no proposal.
    """
    stages = 5 if target.dimension > 200 else 2
    if gradients - unadjusted < stages * STEPS_PER_SAMPLE:
        raise ModelError(
            f"LAPS on {target.name!r}: {gradients} gradients leave {gradients - unadjusted} beside the {unadjusted} "
            f"unadjusted steps, but one proposal takes {stages * STEPS_PER_SAMPLE}: give more, or shorten that phase"
        )
    first_positions = _first(target, chains, key, starts)
    # LAPS asks for one start a chain by the chain's key; these are those keys, in the order of the chains.
    keys = jax.random.key_data(jax.random.split(jax.random.split(jax.random.split(key, 3)[0])[0], chains))
    with _lean_laps(), _settled_bisection() if repaired else nullcontext():
        info, stages, _, _ = laps_module.laps(
            logdensity_fn=target.log_density(),
            sample_init=lambda one: first_positions[jnp.argmax((keys == jax.random.key_data(one)).all(axis=1))],
            ndims=target.dimension,
            num_steps1=unadjusted,
            num_steps2=gradients - unadjusted,
            num_chains=chains,
            mesh=jax.sharding.Mesh(jax.devices()[:1], "chains"),
            rng_key=key,
            observables_for_bias=jnp.square,
            contract=lambda squares: squares,
        )
    first, second = (np.asarray(info[phase]["bias"]) for phase in ("phase_1", "phase_2"))
    costs = [1] + [1] * len(first) + [stages * STEPS_PER_SAMPLE] * len(second)
    return trace_of(np.cumsum(costs)[1:], np.concatenate([first, second]), target.reference)


@contextmanager
def _lean_laps() -> Iterator[None]:
    """LAPS compiled in 4 pieces, not 900, and without one of its diagnostics, which decides nothing by its defaults.

    That diagnostic, 100 x d numbers a chain and step, costs more than the sampler: 8 GB for 4,096 chains at d = 2,429.
    The draws are the same.
    """
    shard_map, equipartition = blackjax.eca.shard_map, laps_burn_in.equipartition_fullrank
    blackjax.eca.shard_map = lambda *arguments, **settings: jax.jit(shard_map(*arguments, **settings))
    laps_burn_in.equipartition_fullrank = lambda state, key: jnp.zeros_like(state.position)[None]
    try:
        yield
    finally:
        blackjax.eca.shard_map, laps_burn_in.equipartition_fullrank = shard_map, equipartition


@contextmanager
def _settled_bisection() -> Iterator[None]:
    """LAPS with a search for the second phase's step size that ends at the step whose acceptance was right.

    BlackJAX's returns one more trial step when it ends, and so keeps an untried one: an acceptance of 0.04 in place of
    0.7 at Brownian motion.
    """
    original = laps_module.bisection_monotonic_fn

    def settled(target: float) -> Callable[..., Any]:
        update = original(target)

        def keep(state: Any, step: jax.Array, acceptance: jax.Array) -> tuple[Any, jax.Array]:
            (bounds, ended), proposed = update(state, step, acceptance)
            return (bounds, ended), jnp.where(ended, step, proposed)

        return keep

    laps_module.bisection_monotonic_fn = settled
    try:
        yield
    finally:
        laps_module.bisection_monotonic_fn = original


def _first(target: DepthTarget, chains: int, key: jax.Array, starts: Position | None) -> jax.Array:
    """The given starts, sites [chains, ...], or new ones, as an array [chains, d]."""
    found = target.flatten(target.starts(jax.random.fold_in(key, _START), chains) if starts is None else starts)
    if found.shape != (chains, target.dimension):
        raise ModelError(
            f"starts for {target.name!r} have shape {found.shape} when flat: give {chains} positions of "
            f"{target.dimension} coordinates, as target.starts(key, {chains}) does"
        )
    return found


def meads(target: DepthTarget, chains: int, key: jax.Array, gradients: int, *, starts: Position | None = None) -> Trace:
    """Maximum-eigenvalue adaptation of damping and step size (Hoffman and Sountsov 2022, AISTATS), four folds.

    Adapted to the end, which the folds make valid. One gradient a step and chain; the fold that rests is charged too,
    as it waits for the others (and its gradient is computed). Raises ModelError unless 4 divides `chains`.
    """
    if chains % 4:
        raise ModelError(f"MEADS has four folds of equal size: {chains} chains cannot be divided by 4")
    adaptation = blackjax.meads_adaptation(
        target.log_density(), chains, adaptation_info_fn=lambda state, info, adapted: _squares(state.position)
    )
    _, squares = adaptation.run(key, _first(target, chains, key, starts), gradients - 1)
    return trace_of(2 + np.arange(gradients - 1), np.asarray(squares), target.reference)


def _squares(positions: jax.Array) -> jax.Array:
    """Mean of x^2 over chains: [d] of [chains, d]."""
    return jnp.square(positions).mean(axis=0)


def chees(
    target: DepthTarget,
    chains: int,
    key: jax.Array,
    gradients: int,
    *,
    starts: Position | None = None,
    step_size: float = 0.1,
    optimiser: optax.GradientTransformation | None = None,
) -> Trace:
    """ChEES-HMC (Hoffman, Radul and Sountsov 2021, AISTATS), adapted to the end; one gradient a leapfrog step.

    The steps of BlackJAX's adaptation one by one, so that it stops at the budget and not after a number of
    trajectories. First step size and optimiser (Adam, rate 0.5, b1 0, b2 0.95) are those of BlackJAX's own test.
    """
    optimiser = optimiser or optax.adam(0.5, b1=0.0, b2=0.95)
    states, adapted, step = _chees_parts(
        target.log_density(), _first(target, chains, key, starts), gradients, step_size, optimiser
    )
    spent, squares = [1], []
    for step_key in jax.random.split(key, gradients):
        states, adapted, leapfrogs, square = step(step_key, states, adapted)
        spent.append(spent[-1] + int(leapfrogs))
        squares.append(np.asarray(square))
        if spent[-1] >= gradients:
            break
    return trace_of(np.array(spent[1:]), np.array(squares), target.reference)


def _chees_parts(
    log_density: Callable[[jax.Array], jax.Array],
    starts: jax.Array,
    budget: int,
    step_size: float,
    optimiser: optax.GradientTransformation,
) -> tuple[Any, Any, Callable[..., Any]]:
    """First states and adaptation of `blackjax.chees_adaptation(...).run` with its defaults, and its compiled step."""
    chains, dimension = starts.shape
    bits = np.ceil(np.log2(budget + _EXTRA_HALTON_STEPS))

    def jitter(index: jax.Array) -> jax.Array:
        return dynamic_hmc.halton_sequence(index, bits)

    def length(index: jax.Array, leapfrogs: jax.Array) -> jax.Array:
        return jnp.asarray(jnp.ceil(jitter(index) * leapfrogs), dtype=int)

    kernel = dynamic_hmc.build_kernel(next_random_arg_fn=_next, integration_steps_fn=length)
    init, update = chees_adaptation.base(
        jitter, _next, optimiser, chees_adaptation.OPTIMAL_TARGET_ACCEPTANCE_RATE, 0.5, 1000
    )
    metric = jnp.ones(dimension)

    @jax.jit
    def step(key: jax.Array, states: Any, adapted: Any) -> tuple[Any, Any, jax.Array, jax.Array]:
        steps = (adapted.trajectory_length / adapted.step_size,)
        moved, info = jax.vmap(
            lambda k, state: kernel(k, state, log_density, adapted.step_size, metric, integration_steps_params=steps)
        )(jax.random.split(key, chains), states)
        proposal = info.proposal
        tuned = update(
            adapted,
            proposal.position,
            proposal.momentum,
            states.position,
            info.acceptance_rate,
            info.is_divergent,
            metric,
        )
        return moved, tuned, info.num_integration_steps.max(), _squares(moved.position)

    zero = jnp.zeros((), int)
    return jax.vmap(lambda x: dynamic_hmc.init(x, log_density, zero))(starts), init(zero, step_size), step


def _next(index: jax.Array) -> jax.Array:
    """The quasi-random sequence in order."""
    return index + 1


class NutsRun(NamedTuple):
    """Gradients of all chains together: of the warm-up, and after it, cumulative, with the bias of the running mean."""

    warmup: int
    trace: Trace


def nuts(
    target: DepthTarget,
    chains: int,
    key: jax.Array,
    gradients: int,
    *,
    starts: Position | None = None,
    warmup: int = 1000,
    stride: int = 10,
) -> NutsRun:
    """NUTS (Hoffman and Gelman 2014) after BlackJAX's window adaptation of `warmup` steps, diagonal metric.

    Runs until all chains have spent `gradients` after their warm-up; the bias is noted every `stride` draws.
    """
    key_warm, key_run = jax.random.split(key)
    log_density = target.log_density()
    first = _first(target, chains, key, starts)
    states, parameters, warm_steps = _warm_up(log_density, first, key_warm, warmup)
    draw = _nuts_draws(log_density, parameters, stride)
    spent, sums, squares = [0], np.zeros(target.dimension), []
    while spent[-1] < gradients:
        states, total, steps = draw(jax.random.fold_in(key_run, len(spent)), states)
        spent.append(spent[-1] + int(steps))
        sums += np.asarray(total)
        squares.append(sums / (len(spent[1:]) * stride * chains))
    return NutsRun(warm_steps, trace_of(np.array(spent[1:]), np.array(squares), target.reference))


def _warm_up(
    log_density: Callable[[jax.Array], jax.Array], starts: jax.Array, key: jax.Array, steps: int
) -> tuple[Any, Any, int]:
    """States and tuned parameters of every chain, and the gradients that it took all of them."""
    adaptation = blackjax.window_adaptation(
        blackjax.nuts, log_density, adaptation_info_fn=lambda state, info, adapted: info.num_integration_steps
    )

    def run(chain_key: jax.Array, start: jax.Array) -> tuple[Any, Any, jax.Array]:
        (state, parameters), leapfrogs = adaptation.run(chain_key, start, steps)
        return state, {name: parameters[name] for name in ("step_size", "inverse_mass_matrix")}, leapfrogs.sum()

    states, parameters, spent = jax.jit(jax.vmap(run))(jax.random.split(key, len(starts)), starts)
    return states, parameters, int(spent.sum()) + len(starts)


def _nuts_draws(log_density: Callable[[jax.Array], jax.Array], parameters: Any, stride: int) -> Callable[..., Any]:
    """A compiled function of `stride` draws of every chain: (key, states) -> (states, sum of x^2, gradients)."""
    kernel = blackjax.nuts.build_kernel()

    def chain(key: jax.Array, state: Any, tuned: Any) -> tuple[Any, jax.Array, jax.Array]:
        def one(state: Any, draw_key: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
            state, info = kernel(draw_key, state, log_density, tuned["step_size"], tuned["inverse_mass_matrix"])
            return state, (jnp.square(state.position), info.num_integration_steps)

        state, (squares, steps) = jax.lax.scan(one, state, jax.random.split(key, stride))
        return state, squares.sum(axis=0), steps.sum()

    @jax.jit
    def draw(key: jax.Array, states: Any) -> tuple[Any, jax.Array, jax.Array]:
        keys = jax.random.split(key, len(states.logdensity))
        states, squares, steps = jax.vmap(chain)(keys, states, parameters)
        return states, squares.sum(axis=0), steps.sum()

    return draw
