"""Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788): uniform ranks, and the simulations of a model.

theta from the prior, data given theta, posterior draws given the data: the rank of theta among L independent posterior
draws is uniform on 0 .. L. Tested by chi-square over the L + 1 ranks, and by the ranks' mean and mean square. A check
fails where the smallest p-value times the number of quantities is below 1e-7: false alarms are below 1e-6 a check, even
if chi-square with 30 expected counts a rank is off by a factor of 10.

`simulations` draws from the prior and the likelihood that the model itself states, and runs the sweeps of a shard as a
configuration has them: the discovered levels, their kernels, the interweaving moves. One compiled program does all data
sets. Every chain starts at a prior draw of its own, or where the model starts; its tuning are steered to its own
acceptance and covariances in the warm-up, and frozen before the first draw that is ranked.

Where posteriors have modes that one chain does not visit in their proportions, what that chain has learned, which knows
nothing of the truth, steers a second one instead that holds the truth at a random place among its draws: from there it
runs forwards, and backwards by the same kernels in reverse order. As the truth is a posterior draw, the chain is
stationary, and the truth's place in it independent of its path: ranks are uniform, exactly, however slowly it mixes
(Gandy and Scott 2020, Unit testing for MCMC, arXiv 2001.06465). It shows that the kernels keep the posterior of the
data, and not that a chain finds all of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import yaml
from scipy import stats

from ensemble.adaptation.covariance import SHRINKAGE
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.level_kernels.base import LevelKernel
from ensemble.shard.sweeps.rounds import Sweeps
from kernels.state import State, evaluate, log_density
from kernels.structure.discovery import discover
from kernels.structure.interweaving_discovery import find_interweavings
from kernels.structure.joining import ALL_SITES
from kernels.types import Data, Position
from workflows.modelling.model import Generative, Model
from workflows.sampling.level_kernels import with_kernels
from workflows.settings.sections.kernels import KernelSettings

FALSE_ALARM = 1e-7
REPLICAS = 32
"""Of a run as it is shipped: what a metric may cost depends on it."""
REPEATS = 4
"""Updates of the shared parameters in a sweep, as shipped."""
STEPS = np.array([3, 5, 2, 6, 4, 3, 7, 4])
"""Steps of HMC's trajectories, in turn, and"""
DEPTH = 5
"""doublings of NUTS's at most."""
FIRST_GAIN = 3.0
"""Of the stochastic approximation; it falls as (1 + round)^-0.6."""
MIX = 0.3
"""Share of fitted proposals of the leaf level, once there is something to fit to."""
CHOICES = 32
"""Prior draws of which a chain starts at the likeliest."""


CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def shipped(config: str) -> KernelSettings:
    """The kernels of a shipped configuration."""
    settings = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())
    return KernelSettings(**settings.get("kernels", {}))


class Simulated(NamedTuple):
    """truths: [N, Q] quantities of the parameters that made the data; draws: [N, L, Q] of the posterior draws;
    drift: largest relative difference between a chain's cached cells and those computed anew."""

    names: tuple[str, ...]
    truths: np.ndarray
    draws: np.ndarray
    drift: float


class Plan(NamedTuple):
    """sweeps of a round; windows of warm-up, of so many rounds each; kept draws, a thinning of so many rounds apart;
    data sets, and how many of them advance together."""

    sweeps: int
    windows: int
    rounds: int
    kept: int
    thin: int
    datasets: int
    together: int


@dataclass(frozen=True)
class Study:
    """What is calibrated: the model, its kernels, what replaces the data, what is ranked.

    observed: (data, new values of the observed variables) -> data with these. quantities: values of all recorded
    variables -> name -> scalar; the log likelihood comes with them. fitted: chains start where the model starts,
    else at the likeliest of some prior draws. around: the truth has a random place in the chain that is ranked.
    """

    model: Model
    kernels: KernelSettings
    observed: Callable[[Data, Position], Data]
    quantities: Callable[[Position], dict[str, jax.Array]]
    plan: Plan
    fitted: bool = False
    around: bool = False


def p_values(truths: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """p-value [Q] of uniform ranks of the truths [N, Q] among the draws [N, L, Q]: three times the smallest of
    chi-square's, that of the mean rank, which sees shifts, and that of its mean squared distance from the middle, which
    sees wrong widths. Ties, of a chain that stood still, are broken by chance.
    """
    below, ties = (draws < truths[:, None]).sum(axis=1), (draws == truths[:, None]).sum(axis=1)
    ranks = below + np.random.default_rng(0).integers(0, ties + 1)
    every = np.arange(draws.shape[1] + 1)
    chi_square = [stats.chisquare(np.bincount(column, minlength=every.size)).pvalue for column in ranks.T]
    found = [np.array(chi_square)]
    for score in (every - every.mean(), (every - every.mean()) ** 2):
        z = (score[ranks].mean(axis=0) - score.mean()) / (score.std() / np.sqrt(len(ranks)))
        found.append(2.0 * stats.norm.sf(np.abs(z)))
    return np.minimum(1.0, 3.0 * np.min(found, axis=0))


def calibrated(truths: np.ndarray, draws: np.ndarray) -> bool:
    """Whether the ranks of all quantities are uniform."""
    found = p_values(truths, draws)
    return bool(found.min() * len(found) > FALSE_ALARM)


def require_uniform_ranks(found: Simulated) -> None:
    """Fail, with the p-value of each quantity, where the ranks of one are not uniform."""
    p = dict(zip(found.names, p_values(found.truths, found.draws), strict=True))
    assert calibrated(found.truths, found.draws), p


def require_nearly_independent(found: Simulated) -> None:
    """Fail where neighbouring draws of a quantity correlate by .15 or more."""
    assert np.abs(neighbours(found.draws)).max() < 0.15


def shifted(draws: np.ndarray, by: float) -> np.ndarray:
    """The draws moved by so many of their standard deviations."""
    return draws + by * draws.std(axis=1, ddof=1, keepdims=True)


def widened(draws: np.ndarray, by: float) -> np.ndarray:
    """The draws spread about their mean by that factor."""
    means = draws.mean(axis=1, keepdims=True)
    return means + by * (draws - means)


def neighbours(draws: np.ndarray) -> np.ndarray:
    """Correlation [Q] of neighbouring draws over all data sets; the 1 / L that the mean of L takes off is put back."""
    centred = draws - draws.mean(axis=1, keepdims=True)
    products, squares = centred[:, 1:] * centred[:, :-1], centred**2
    # Each data set counts the same, whatever the width of its posterior; a chain that stood still correlates by 1.
    scale = squares.mean(axis=1, keepdims=True)
    found = np.where(scale > 0, products / np.where(scale > 0, scale, 1.0), 1.0)
    return found.mean(axis=(0, 1)) + 1.0 / draws.shape[1]


def simulations(study: Study, seed: int) -> Simulated:
    """Truths and posterior draws of all data sets of the plan."""
    spec, data = _prepared(study, jax.random.key(seed))
    plan = study.plan
    names: list[str] = []
    one = partial(_one, study, spec, jax.tree.map(jnp.asarray, data), names)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), plan.datasets)
    truths, draws, drift = jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=plan.together))(keys)
    return Simulated(tuple(names), np.asarray(truths), np.asarray(draws), float(np.max(drift)))


def _prepared(study: Study, key: jax.Array) -> tuple[SweepSpec, Data]:
    """The sweep found on one simulated data set, and that data set."""
    target = study.model.target
    truth, data = _joint(study, jax.tree.map(jnp.asarray, study.model.data), key)
    found = discover(target, data, truth, key=key)
    spec = with_kernels(target, found, study.kernels, REPLICAS)
    moves = () if ALL_SITES in study.kernels.levels else find_interweavings(target, found, data, truth, key)
    return spec._replace(interweavings=moves), jax.tree.map(np.asarray, data)


def _joint(study: Study, data: Data, key: jax.Array) -> tuple[Position, Data]:
    """Parameters from the prior, and data given them."""
    able = _able(study.model)
    values, outcomes = able.prior(key, data)
    return able.unconstrain(values, data), study.observed(data, outcomes)


def _able(model: Model) -> Generative:
    assert model.generative is not None
    return model.generative


def _one(
    study: Study, spec: SweepSpec, data: Data, names: list[str], key: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Truth [Q], draws [L, Q] and drift of one data set."""
    joint_key, start_key, chain_key, around_key = jax.random.split(key, 4)
    target, plan = study.model.target, study.plan
    truth, data = _joint(study, data, joint_key)
    sweeps = Sweeps(target, spec, replicas=1, rungs=1, repeats=REPEATS)

    def evaluated(position: Position) -> State:
        return evaluate(target, spec.structure, position, data)

    def ranked(state: State) -> jax.Array:
        kinds = target.term_kinds
        likelihood = sum(jnp.sum(cells) for name, cells in state.cells.items() if kinds[name] == "likelihood")
        found = study.quantities(target.constrain(state.position, data)) | {"log likelihood": likelihood}
        names[:] = found
        return jnp.stack([jnp.asarray(value, jnp.float64) for value in found.values()])

    # The truth is evaluated with the choices of a start: every copy of the model is compiled.
    count = 1 if study.fitted else CHOICES
    choices = jax.vmap(lambda key: target.initial(key, data))(jax.random.split(start_key, count))
    states = jax.vmap(evaluated)(jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), truth, choices))
    heights = jnp.nan_to_num(jax.vmap(lambda state: log_density(state.cells))(states)[1:], nan=-jnp.inf)
    best = 1 + jnp.argmax(heights)
    start = jax.tree.map(lambda leaf: leaf[best][None], states)
    last, tuning, draws = _chain(plan, sweeps, start, data, chain_key, ranked)
    if study.around:
        backwards = replace(spec.structure, levels=spec.structure.levels[::-1])
        both = sweeps, Sweeps(target, spec._replace(structure=backwards), replicas=1, rungs=1, repeats=REPEATS)
        draws = _around(plan, both, _replica(states, slice(1)), data, tuning, around_key, ranked)
    known, anew = (jnp.concatenate(jax.tree.leaves(cells)) for cells in (last.cells, evaluated(last.position).cells))
    drift = jnp.max(jnp.abs(known - anew) / (1.0 + jnp.abs(anew)))
    return ranked(_replica(states, 0)), draws, drift


class Moments(NamedTuple):
    """Sums over the rounds of a window of a level's blocks: [p, B], and of their products [p, p, B] or squares."""

    total: jax.Array
    square: jax.Array


def _chain(
    plan: Plan, sweeps: Sweeps, start: State, data: Data, key: jax.Array, ranked: Callable[[State], jax.Array]
) -> tuple[State, TuningState, jax.Array]:
    """The last state of one chain without its axis of replicas, its tuning, and what is ranked after the warm-up,
    [L, Q]."""
    views, kernels = sweeps.views, {name: step.kernel for name, step in sweeps.steps.items()}
    first = jax.tree.map(jnp.asarray, first_tuning(sweeps.spec, np.ones(1), plan.sweeps))
    nothing = {name: _no_moments(kernel) for name, kernel in kernels.items()}
    warm_up = plan.windows * plan.rounds

    def body(
        carry: tuple[State, TuningState, Any], number: jax.Array
    ) -> tuple[tuple[State, TuningState, Any], jax.Array]:
        states, tuning, moments = carry
        keys = jax.random.fold_in(key, number)[None, None]
        chosen = _scheduled(tuning, sweeps, _turns(plan, number))
        (states,), tally, _ = sweeps.round((states,), keys, data, chosen, ())
        state, place = _replica(states, 0), number % plan.rounds
        # The gain of a new phase at the start of every window: its covariances are other ones.
        share = jnp.where(number < warm_up, (1.0 + place) ** -0.6, 0.0)
        tuning = _steered(tuning, kernels, tally, FIRST_GAIN * share)
        moments = {name: _seen(moments[name], view.blocks(state.position)) for name, view in views.items()}
        # The last window steers the step sizes alone.
        full = (place == plan.rounds - 1) & (number < warm_up - plan.rounds)
        fitted = partial(_fitted, kernels, count=plan.rounds)
        tuning, moments = jax.lax.cond(full, lambda c, m: (fitted(c, m), nothing), lambda *c: c, tuning, moments)
        return (states, tuning, moments), ranked(state)

    total = warm_up + plan.kept * plan.thin
    (last, tuning, _), found = jax.lax.scan(body, (start, first, nothing), jnp.arange(total))
    return _replica(last, 0), tuning, found[warm_up + plan.thin - 1 :: plan.thin]


def _around(
    plan: Plan,
    both: tuple[Sweeps, Sweeps],
    truth: State,
    data: Data,
    tuning: TuningState,
    key: jax.Array,
    ranked: Callable[[State], jax.Array],
) -> jax.Array:
    """What is ranked [L, Q] in a chain of L + 1 draws that holds the truth at a random place.

    both: the sweeps, and those with the levels in reverse order.
    """
    if plan.thin * plan.sweeps % len(STEPS) or both[0].n_interweavings:
        raise ValueError("the kernels between two draws must always be the same ones, and have no interweaving moves")
    place_key, *keys = jax.random.split(key, 3)

    def run(sweeps: Sweeps, key: jax.Array, forwards: bool) -> jax.Array:
        def body(state: State, number: jax.Array) -> tuple[State, jax.Array]:
            turns = _turns(plan, number)
            chosen = _scheduled(tuning, sweeps, turns if forwards else -1 - turns)
            (state,), _, _ = sweeps.round((state,), jax.random.fold_in(key, number)[None, None], data, chosen, ())
            return state, ranked(_replica(state, 0))

        return jax.lax.scan(body, truth, jnp.arange(plan.kept * plan.thin))[1][plan.thin - 1 :: plan.thin]

    after, before = (run(sweeps, key, sweeps is both[0]) for sweeps, key in zip(both, keys, strict=True))
    place, number = jax.random.randint(place_key, (), 0, plan.kept + 1), jnp.arange(plan.kept)
    return jnp.where((number < place)[:, None], before[place - 1 - number], after[number - place])


def _turns(plan: Plan, number: jax.Array) -> jax.Array:
    """Numbers of the sweeps of a round."""
    return number * plan.sweeps + jnp.arange(plan.sweeps)


def _replica(states: State, which: int | slice) -> State:
    """One of the states that lie along a leading axis, or some."""
    return jax.tree.map(lambda leaf: leaf[which], states)  # type: ignore[no-any-return]


def _scheduled(tuning: TuningState, sweeps: Sweeps, turns: jax.Array) -> TuningState:
    """The tuning of sweeps of these numbers: the moves and the lengths of trajectories whose turn it is."""
    steps, depth = jnp.asarray(STEPS)[turns % len(STEPS)], jnp.full(turns.shape, DEPTH)
    doubles = {name: step.kernel.needs.doubles for name, step in sweeps.steps.items()}
    lengths = {name: (depth if doubles[name] else steps)[None] for name in tuning.lengths}
    return tuning._replace(schedule=turns % (sweeps.n_interweavings + 1), lengths=lengths)


def _steered(tuning: TuningState, kernels: dict[str, LevelKernel], tally: Any, share: jax.Array) -> TuningState:
    """Step sizes a Robbins-Monro step nearer to the acceptance wanted, where something was tried."""
    levels = {}
    for name, kernel in kernels.items():
        old, half = tuning.levels[name][0], 0.5 if kernel.needs.gradient else 1.0
        change = _missing(*tally.rates[name][0].walk, kernel.target_acceptance()) * half
        levels[name] = (old._replace(log_scale=old.log_scale + share * change),)
    interweave = tuning.interweave + share * _missing(*tally.interweaving, 0.44)
    return tuning._replace(levels=levels, interweave=interweave)


def _missing(accepted: jax.Array, tried: jax.Array, wanted: np.ndarray | float) -> jax.Array:
    return jnp.where(tried > 0, accepted / jnp.maximum(tried, 1.0) - wanted, 0.0)


def _no_moments(kernel: LevelKernel) -> Moments:
    shape = (kernel.level.width, kernel.level.n_blocks)
    dense = kernel.told.metric == "dense"
    return Moments(jnp.zeros(shape), jnp.zeros((kernel.level.width, *shape) if dense else shape))


def _seen(moments: Moments, blocks: jax.Array) -> Moments:
    square = blocks**2 if moments.square.ndim == 2 else blocks[:, None] * blocks[None]
    return Moments(moments.total + blocks, moments.square + square)


def _fitted(
    kernels: dict[str, LevelKernel], tuning: TuningState, moments: dict[str, Moments], count: int
) -> TuningState:
    """The tuning with the means and factors of a window of `count` rounds."""
    levels = {
        name: (_fitted_level(kernel, tuning.levels[name][0], moments[name], count),) for name, kernel in kernels.items()
    }
    return tuning._replace(levels=levels)


def _fitted_level(kernel: LevelKernel, old: LevelTuning, moments: Moments, count: int) -> LevelTuning:
    """The mean and the factor of the shrunk covariance of a window, and fitted proposals on a leaf level."""
    level = kernel.level
    mean = moments.total / count
    if kernel.told.metric == "diagonal":
        variance = moments.square / count - mean**2
        return old._replace(mean=mean, factor=jnp.where(variance > 0, jnp.sqrt(jnp.abs(variance)), old.factor))
    covariance = moments.square / count - mean[:, None] * mean[None]
    unit = jnp.eye(level.width)[:, :, None] > 0
    covariance = jnp.where(unit, covariance, covariance * (count / (count + SHRINKAGE)))
    # Padding has no spread, nor a block that never moved.
    covariance = jnp.where(unit & (jnp.einsum("iib->ib", covariance) <= 0), 1.0, covariance)
    factor = jnp.moveaxis(jnp.linalg.cholesky(jnp.moveaxis(covariance, 2, 0)), 0, 2)
    good = jnp.all(jnp.isfinite(factor), axis=(0, 1))
    mix = jnp.full(level.n_blocks, MIX if level.leaf and not kernel.needs.gradient else 0.0)
    return old._replace(mean=mean, factor=jnp.where(good, factor, old.factor), mix=mix)
