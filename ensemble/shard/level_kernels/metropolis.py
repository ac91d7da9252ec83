"""Metropolis on all blocks of a level at once: random walk, and fitted proposals on leaf levels. Exact."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.common_laws import FEWEST, first_law, learned
from ensemble.adaptation.covariance import conditional_factor
from ensemble.adaptation.steering import gain, recent
from ensemble.protocol.statistics import Rate
from ensemble.protocol.tuning import GivenOthers, LevelTuning, TuningState
from ensemble.shard.level_kernels.base import Seen, StepSums, counted
from ensemble.shard.level_kernels.walks import WalkKernel
from kernels.state import LevelView
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.transitions.metropolis import Metropolis, MetropolisInfo, MetropolisParameters

WALK = 0.331
"""Times 1 / p: the efficiency of the best random walk in p dimensions, independent draws a step (Gelman, Roberts and
Gilks 1996, Bayesian Statistics 5, 599-607)."""
GIVEN = 0.5
"""Share of the steps of parents in units of their law given the children."""
SHARES = 0.1, 0.9
"""Least and largest share of fitted proposals."""
FITTED_ROUND = 6
"""First round of a phase of `equilibrate` with fitted proposals: before it the covariances are too uncertain."""


def metropolis_parameters(tuning: TuningState, level: str, rung: int, sweep: jax.Array) -> MetropolisParameters:
    """What steers Metropolis on a level at a rung."""
    known = jax.tree.map(jnp.asarray, tuning.levels[level][rung])
    shape = known.log_scale, known.mean, known.factor, known.mix
    if known.common is None:
        given = None if known.given is None else known.given.factor
        return MetropolisParameters(jnp.asarray(tuning.betas[rung]), *shape, given=given)
    coordinate = jnp.asarray(tuning.common[level])[sweep]
    knots = known.common.knots[jnp.maximum(coordinate, 0)]
    return MetropolisParameters(jnp.asarray(tuning.betas[rung]), *shape, coordinate, knots, known.common.share)


def _given(old: GivenOthers, seen: Seen) -> GivenOthers:
    """With the information that each shard saw in a round."""
    information = old.information + recent(seen.round_) * (np.mean(seen.information, axis=0) - old.information)
    return GivenOthers(information, conditional_factor(information, seen.states.weight, old.factor))


class Kernel(WalkKernel):
    """Metropolis: what a level does unless something else suits it better."""

    @classmethod
    def is_default(cls, target: Target, structure: Structure, level: Level) -> bool:
        """Where no other kernel is."""
        return True

    @property
    def _fits(self) -> bool:
        """Whether it has independence proposals: on leaf levels of narrow blocks."""
        return self.level.leaf and self.told.metric == "dense"

    @property
    def _has_children(self) -> bool:
        """Whether its blocks are narrow and parents of finer ones."""
        return not self.level.leaf and self.told.metric == "dense"

    def first(self) -> LevelTuning:
        """With common laws where there are many blocks, all alike, and the information of parents."""
        many = self._fits and self.level.mask is None and self.level.n_blocks >= FEWEST
        width, blocks = self.level.width, self.level.n_blocks
        blank = super().first()
        unknown = GivenOthers(np.zeros((width, width, blocks)), np.asarray(blank.factor))
        return blank._replace(
            common=first_law(width, blocks) if many else None, given=unknown if self._has_children else None
        )

    def adapted(self, old: LevelTuning, seen: Seen) -> LevelTuning:
        """By acceptances, moments and, for the common laws, quantiles."""
        found = super().adapted(old, seen)
        if old.given is not None and seen.information:
            found = found._replace(given=_given(old.given, seen))
        if old.common is None or not seen.quantiles:
            return found
        acceptance = np.full(self.level.width, np.nan) if seen.common is None else seen.common
        return found._replace(common=learned(old.common, list(seen.quantiles), acceptance, seen.fitted, seen.round_))

    def mix(self, old: np.ndarray, seen: Seen) -> np.ndarray:
        """Share of fitted proposals: a half of parents' steps; of leaves half at first, then by their efficiency
        beside the random walk's, and never without that."""
        if self._has_children and seen.information:
            return np.full_like(old, GIVEN)
        if not self._fits or seen.round_ < FITTED_ROUND:
            return np.zeros_like(old)
        walk = WALK / np.maximum(self.level.sizes, 1)
        wanted = np.clip(np.where(np.isnan(seen.fitted), 0.5, seen.fitted / (seen.fitted + walk)), *SHARES)
        return np.where(old == 0, 0.5, old + (wanted - old) * min(1.0, gain(seen.round_)))

    def transition(self, view: LevelView) -> Metropolis:
        return Metropolis(view)

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> MetropolisParameters:
        return metropolis_parameters(tuning, self.level.name, rung, sweep)

    def sums(self, info: MetropolisInfo, parameters: MetropolisParameters) -> StepSums:
        walk, fitted = (Rate(jnp.sum(a, axis=0), jnp.sum(b, axis=0)) for a, b in (info.walk, info.fitted))
        common = None
        if parameters.coordinate is not None:
            here = jnp.arange(self.level.width) == parameters.coordinate
            accepted, tried = (jnp.sum(values) * here for values in info.drawn)
            common = Rate(accepted, tried)
        return StepSums(walk, fitted, jnp.sum(info.nonfinite), jnp.zeros(2), common, counted(info.infinite))
