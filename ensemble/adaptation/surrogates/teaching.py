"""When and how a run's networks are trained, judged and used; pure functions of the tuning."""

import zlib
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.surrogates.lessons import Collected
from ensemble.adaptation.surrogates.training import BEYOND, Trained, frame_of, trained, within
from ensemble.protocol.statistics import Lessons
from ensemble.protocol.tuning import LevelTuning, Surrogate, TuningState
from kernels.dynamics.network import untrained, whitened_potential

FEWEST_EXAMPLES = 100
"""With fewer, or fewer than FOR_EACH a coordinate, a network is not trained."""
FOR_EACH = 5

LEAST_ACCEPTED = 0.4
"""Mean acceptance on trial below which a network is dropped: by the gradient about twice as many are accepted."""

BY_GRADIENT = 8
"""In `sample` one sweep in so many follows the gradient: where the network knows nothing, in far tails, its draws are
rejected, so that by it alone a chain seldom comes there, and its draws would not show that it should."""

HIGHER = 0.995
"""Quantile of the excess of the network's potential that it is judged by."""

MOST_EXCESS = 1.0
"""Excess from which on a network is dropped. On a banana whose tails are short of draws by a factor of two at an excess
of 7, and right within their errors at .5, both accepted .97 of their trajectories."""


def untaught(width: int, hidden: tuple[int, ...]) -> Surrogate:
    """Before training: a network that is not used."""
    unknown = np.asarray(np.nan)
    return Surrogate(untrained(width, hidden), np.asarray(0), unknown, unknown, np.zeros(2))


def learns(tuning: TuningState) -> bool:
    """Whether a level has a network."""
    return any(rung.surrogate is not None for rungs in tuning.levels.values() for rung in rungs)


def by_gradient(tuning: TuningState, sweeps: int, round_: int, *, frozen: bool) -> dict[str, np.ndarray]:
    """Which sweeps of a round follow the gradient whatever the network knows, [sweeps] for each level that has one.
    frozen: in `sample`; before it networks are on trial, without help."""
    numbers = round_ * sweeps + np.arange(sweeps)
    return {name: frozen & (numbers % BY_GRADIENT == 0) for name in tuning.by_gradient}


def taught(tuning: TuningState, collected: Collected, seed: int) -> TuningState:
    """The tuning with networks that were trained on the examples. A rung with too few stays as it is."""
    levels = dict(tuning.levels)
    for name, lessons in collected.items():
        levels[name] = tuple(
            _taught(old, lessons[rung], (seed, zlib.crc32(name.encode()), rung))
            for rung, old in enumerate(tuning.levels[name])
        )
    return tuning._replace(levels=levels)


def _taught(old: LevelTuning, lessons: Lessons, seeds: tuple[int, ...]) -> LevelTuning:
    surrogate, frame = old.surrogate, frame_of(old)
    assert surrogate is not None
    known = frame.whitened(within(lessons, BEYOND))
    count = np.asarray(len(known.heights))
    if count < max(FEWEST_EXAMPLES, FOR_EACH * len(old.mean)):
        return old._replace(surrogate=surrogate._replace(examples=count))
    found = trained(surrogate.network, frame, known, seeds)
    return old._replace(
        surrogate=Surrogate(found.network, count, np.asarray(found.error), np.asarray(excess(found)), np.zeros(2))
    )


def excess(found: Trained) -> float:
    """How much too high the network's potential V is, in reach of the posterior: a high quantile of V - U, from its
    median, over the examples held out. Where it is too high by D, a chain comes and leaves e^D times too seldom. NaN of
    a density that is only estimated."""
    reached = within(found.held_out)
    learned = jax.vmap(lambda z: whitened_potential(found.network, z))(jnp.asarray(reached.places))
    difference = np.asarray(learned) + reached.heights
    return float(np.quantile(difference, HIGHER) - np.median(difference))


def settled(tuning: TuningState) -> TuningState:
    """The tuning as it is frozen: networks whose trajectories were accepted too seldom, or whose potential is too high
    where draws may be, are not used."""
    levels = {}
    for name, rungs in tuning.levels.items():
        levels[name] = tuple(rung if _passed(rung.surrogate) else _dropped(rung) for rung in rungs)
    return tuning._replace(levels=levels)


def _passed(surrogate: Surrogate | None) -> bool:
    """Whether there is none in use, or its trajectories are accepted often enough."""
    if surrogate is None or not surrogate.network.trained:
        return True
    accepted, rounds = surrogate.trial
    return bool(rounds > 0 and accepted >= LEAST_ACCEPTED * rounds and not surrogate.excess > MOST_EXCESS)


def _dropped(rung: LevelTuning) -> LevelTuning:
    assert rung.surrogate is not None
    network = rung.surrogate.network._replace(trained=np.asarray(False))
    return rung._replace(surrogate=rung.surrogate._replace(network=network))


def facts(tuning: TuningState) -> dict[str, dict[str, float | bool | None]]:
    """Of the coldest rung of each level that has a network: whether it is in use, by how many examples it was trained,
    its error on those held out, its excess, and the mean acceptance of its trajectories on trial; None before these
    are known."""
    found = {}
    for name, rungs in tuning.levels.items():
        if (surrogate := rungs[0].surrogate) is not None:
            accepted, rounds = surrogate.trial
            error = float(surrogate.error)
            found[name] = {
                "used": bool(surrogate.network.trained),
                "examples": int(surrogate.examples),
                "error": error if np.isfinite(error) else None,
                "excess": float(surrogate.excess) if np.isfinite(surrogate.excess) else None,
                "accepted_on_trial": float(accepted / rounds) if rounds else None,
            }
    return found


def told(levels: Mapping[str, tuple[LevelTuning, ...]]) -> list[str]:
    """What a user is told of the networks as `sample` begins: of the coldest rung of each level that has one."""
    return [_sentence(name, rungs[0].surrogate) for name, rungs in levels.items() if rungs[0].surrogate is not None]


def _sentence(name: str, surrogate: Surrogate | None) -> str:
    assert surrogate is not None
    accepted, rounds = surrogate.trial
    if np.isnan(surrogate.error):
        return (
            f"level {name}: its network had {int(surrogate.examples)} examples, too few to be trained; trajectories "
            "follow the gradient. More of equilibrate.refine_rounds or ensemble.replicas give more"
        )
    found = (
        f"level {name}: a network learned the gradient from {int(surrogate.examples):,} examples (error "
        f"{float(surrogate.error):.2g} of the slopes' squares on those held out)"
    )
    if not rounds:
        return (
            f"{found} as warm-up ended, without a trial: it is dropped, and `sample` follows the gradient. Raise "
            "equilibrate.max_rounds"
        )
    found += f", and {accepted / rounds:.2f} of its trajectories were accepted on trial"
    if surrogate.network.trained:
        use = f"`sample` follows it in {BY_GRADIENT - 1} sweeps of {BY_GRADIENT}, and accepts on the true density"
        return f"{found}: {use}"
    if surrogate.excess > MOST_EXCESS:
        found += f"; its log density is too low by {float(surrogate.excess):.2g} and more in places where draws may be"
    return f"{found}: it is dropped, and `sample` follows the gradient. More examples (ensemble.replicas) may help"
