"""The list of kernels: light to import, one class an entry, each stating what it needs and what its steps know."""

import subprocess
import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.protocol.sweep_spec import KernelSpec, SweepSpec
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.level_kernels.base import ChainFacts, LevelKernel, LevelStep
from ensemble.shard.level_kernels.registry import KERNELS, described, level_kernels, load
from kernels.state import LevelView, evaluate
from kernels.structure.discovery import discover
from kernels.structure.joining import joined
from tests.support.models.pseudo_marginal_models import groups

REPLICAS, STEPS = 4, 3
AT = {"metropolis": "global", "hmc": "global", "nuts": "global", "refresh": "individual"}
"""The level of the pseudo-marginal model that each kernel moves here; the others move theta with u."""


def test_the_list_needs_no_jax_and_no_kernel() -> None:
    code = "import sys; from ensemble.shard.level_kernels import registry; registry.described(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ensemble.shard.level_kernels.registry" in loaded
    assert not loaded & {"jax", "numpy", "ensemble.shard.level_kernels.base", "ensemble.shard.level_kernels.metropolis"}


def test_every_entry_is_a_kernel_with_words() -> None:
    for name, entry in KERNELS.items():
        assert issubclass(load(name), LevelKernel)
        assert f"{name}: {entry.description}" in described()
    assert len({load(name) for name in KERNELS}) == len(KERNELS)


def test_a_kernel_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"no kernel 'gibbs'; there are metropolis, .*hmc"):
        load("gibbs")


@cache
def step_of(name: str, step_size: float = 0.05) -> ChainFacts:
    """What a step of every replica of the pseudo-marginal model says of them."""
    model, level = groups(), AT.get(name, "global")
    target, data = model.target, jax.tree.map(jnp.asarray, model.data)
    start = target.initial(jax.random.key(0), data)
    found = discover(target, data, start, key=jax.random.key(1))
    found = joined(target, found, level) if load(name).needs.one_block else found
    spec = SweepSpec(found, {level: KernelSpec(name, max_depth=4)})
    kernel, tuning = level_kernels(spec)[level], first_tuning(spec, np.ones(1), 1)
    tuned = tuning.levels[level][0]
    tuned = tuned._replace(log_scale=np.full_like(tuned.log_scale, np.log(step_size)))
    lengths = {of: np.full_like(x, STEPS) for of, x in tuning.lengths.items()}
    tuning = tuning._replace(levels={**tuning.levels, level: (tuned,)}, lengths=lengths)
    keys = jax.random.split(jax.random.key(2), REPLICAS)
    states = jax.vmap(lambda key: evaluate(target, found, target.initial(key, data), data))(keys)
    step = LevelStep(kernel, LevelView(target, found, kernel.level))
    facts: ChainFacts = jax.jit(lambda: step(keys, states, data, tuning, rung=0, sweep=jnp.asarray(0))[2])()
    return facts


@pytest.mark.parametrize("name", KERNELS)
def test_a_step_knows_what_its_kernel_declares_of_each_replica(name: str) -> None:
    facts = {field: value for field, value in step_of(name)._asdict().items() if value is not None}
    assert set(facts) == set(load(name).statistics)
    assert all(value.shape == (REPLICAS,) for value in facts.values())
    assert ((facts["acceptance_probability"] >= 0) & (facts["acceptance_probability"] <= 1)).all()


@pytest.mark.parametrize("name", ["hmc", "nuts", "pm_hmc", "pm_nuts"])
def test_trajectories_say_how_long_they_are_and_when_they_diverge(name: str) -> None:
    facts, far = step_of(name, 1e-3), step_of(name, 1e3)
    assert not np.asarray(facts.diverging).any()
    assert np.asarray(far.diverging).all()
    np.testing.assert_allclose(facts.step_size, 1e-3)
    if load(name).needs.doubles:
        np.testing.assert_array_equal(facts.n_steps, 2 ** np.asarray(facts.tree_depth) - 1)
        assert (np.asarray(facts.tree_depth) == STEPS).all()
    else:
        np.testing.assert_array_equal(facts.n_steps, STEPS)
    assert np.isfinite(np.asarray(facts.energy)).all()
    assert np.isfinite(np.asarray(far.energy)).all()


@pytest.mark.parametrize("name", ["hmc", "nuts", "surrogate_hmc", "surrogate_nuts"])
def test_the_integrator_that_is_told_is_the_one_that_steps(name: str) -> None:
    """By whose gradients a step the evaluations are counted."""
    model = groups()
    structure = discover(
        model.target, model.data, model.target.initial(jax.random.key(0), model.data), key=jax.random.key(1)
    )
    structure = joined(model.target, structure, "global")
    kernel = load(name)(structure.level("global"), KernelSpec(name, integrator="two_stage", metric="dense"))
    transition = kernel.transition(LevelView(model.target, structure, structure.level("global")))
    assert transition.scheme.name == "two_stage"
    assert transition.scheme.gradients == 2
