"""Which axes of a deterministic value are its plates: found by moving elements of a plate and looking what changes.

NumPyro knows the plates of a deterministic value as batch axes counted from the right, and not how many event axes
stand to the right of these. So plates are looked for: where only some elements of a plate move, a value changes at
those indices of the plate's axis and nowhere else. Latent sites show it, whose plates are known, and so do data whose
axis is seen, in the probabilities of the plate's sites, to be the plate's. Where nothing shows an axis, or more than
one, the plate names none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workflows.modelling.frontends.numpyro.axes import Layout, layout_of
from workflows.modelling.frontends.numpyro.inspection import Traced, Value
from workflows.modelling.frontends.numpyro.terms import log_prob
from workflows.modelling.frontends.numpyro.tracing import (
    ModelFunction,
    constrained,
    either,
    prior_sites,
    sites_at,
    unconstrained,
)
from workflows.modelling.model import Static

SEED = 0
HALVES = 2
"""Random halves of a plate that are moved, each followed by the other half."""
STEP = 0.37
"""How far a number moves towards another one of its array, so that it stays in their range."""

Arrays = dict[str, np.ndarray]
Evaluate = Callable[[Arrays, Any], tuple[Arrays, Arrays]]
"""(values of the sites, data) -> (deterministic values, log probabilities)."""
Tests = list[tuple[np.ndarray, np.ndarray]]
"""(which elements of the plate moved, where an array changed) of every test."""


def recorded_layouts(
    model: ModelFunction, static: dict[str, Static], arrays: dict[str, Any], traced: Traced, values: Iterable[str]
) -> dict[str, Layout]:
    """Layouts of these deterministic values; of those outside plates the axes as they are."""
    wanted = {name: traced.values[name] for name in values}
    found: dict[str, dict[str, int]] = {name: {} for name in wanted}
    if inside := {name: value for name, value in wanted.items() if value.shape and value.plates}:
        sites = _sites(model, static, arrays, traced)
        evaluate = _evaluator(model, static, traced, tuple(inside), terms=())
        settled = _by_latents(found, evaluate, sites, arrays, traced, inside)
        if open_ := [(name, plate) for name, v in inside.items() for plate in v.sizes if (name, plate) not in settled]:
            evaluate = _evaluator(model, static, traced, tuple(inside), terms=tuple(traced.terms))
            _by_data(found, evaluate, sites, arrays, traced, open_)
    return {name: _layout(value, found[name]) for name, value in wanted.items()}


def _layout(value: Value, axes: Mapping[str, int]) -> Layout:
    """The layout of a value with these plates; by NumPyro's rule for batch axes where they obey it."""
    events = {dim - (axes[plate] - len(value.shape)) for dim, plate in value.plates.items() if plate in axes}
    if len(events) == 1 and (number := events.pop()) >= 0:
        batch = len(value.shape) - number
        plates = {dim: plate for dim, plate in value.plates.items() if plate in axes}
        return layout_of(value.shape[:batch], value.shape[batch:], plates)
    named = {axis: plate for plate, axis in axes.items()}
    order = (*sorted(named), *(axis for axis in range(len(value.shape)) if axis not in named))
    shape = tuple(value.shape[axis] for axis in order)
    return Layout(value.shape, order, shape, tuple(named[axis] for axis in sorted(named)))


def _sites(model: ModelFunction, static: dict[str, Static], arrays: dict[str, Any], traced: Traced) -> Arrays:
    """Unconstrained coordinates of the latent sites, all different, and a draw of the discrete ones."""

    def draw(data: Any) -> dict[str, jax.Array]:
        sites = prior_sites(model, jax.random.key(SEED), data | static)
        return {name: layout.pack(sites[name]["value"]) for name, layout in traced.discrete.items()}

    rng = np.random.default_rng(SEED)
    coordinates = {name: rng.uniform(-1.0, 1.0, layout.shape) for name, layout in traced.unconstrained.items()}
    return coordinates | {name: np.asarray(value) for name, value in jax.jit(draw)(arrays).items()}


def _evaluator(
    model: ModelFunction, static: dict[str, Static], traced: Traced, values: tuple[str, ...], terms: tuple[str, ...]
) -> Evaluate:
    """The values and the log probabilities of these names as a function of the sites and the data."""

    @jax.jit
    def compiled(position: dict[str, jax.Array], data: Any) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        given = either(constrained(position, traced.discrete), unconstrained(position, traced.unconstrained))
        sites = sites_at(model, given, data | static)
        return {name: jnp.asarray(sites[name]["value"]) for name in values}, {n: log_prob(sites[n]) for n in terms}

    def evaluate(position: Arrays, data: Any) -> tuple[Arrays, Arrays]:
        found: tuple[Arrays, Arrays] = jax.tree.map(np.asarray, compiled(position, data))
        return found

    return evaluate


def _by_latents(
    found: dict[str, dict[str, int]],
    evaluate: Evaluate,
    sites: Arrays,
    data: Any,
    traced: Traced,
    values: Mapping[str, Value],
) -> set[tuple[str, str]]:
    """Look for plates by moving the latent sites in them; returns the pairs (value, plate) that this settles."""
    before, _ = evaluate(sites, data)
    layouts = traced.unconstrained | traced.discrete
    settled = set()
    for plate, size in {plate: size for value in values.values() for plate, size in value.sizes.items()}.items():
        axis_of = {name: layout.plates.index(plate) for name, layout in layouts.items() if plate in layout.plates}
        tests: dict[str, Tests] = {name: [] for name in values}
        for chosen in _subsets(size) if axis_of else ():
            moved = {name: _moved(sites[name], axis, chosen) for name, axis in axis_of.items()}
            after, _ = evaluate({**sites, **moved}, data)
            for name in values:
                tests[name].append((chosen, _changed(before[name], after[name])))
        for name, value in values.items():
            if plate in value.sizes and (axes := _axes(tests[name], size)) is not None:
                settled.add((name, plate))
                if len(axes) == 1:
                    found[name][plate] = axes.pop()
    return settled


def _by_data(
    found: dict[str, dict[str, int]],
    evaluate: Evaluate,
    sites: Arrays,
    data: Any,
    traced: Traced,
    pairs: list[tuple[str, str]],
) -> None:
    """Look for the plates of these pairs (value, plate) by moving the data along every axis of a plate's size.

    Data that a plate's probabilities show to be the plate's decide; where there are none of influence, as in a plate
    for predictions alone, data of which they show nothing.
    """
    before, terms_before = evaluate(sites, data)
    sizes = {plate: traced.values[name].sizes[plate] for name, plate in pairs}
    for plate, size in sizes.items():
        names = [name for name, of in pairs if of == plate]
        votes: dict[bool, dict[str, list[set[int]]]] = {known: {name: [] for name in names} for known in (True, False)}
        for moves in _data_moves(data, size):
            tests: dict[str, Tests] = {name: [] for name in names}
            inside: list[bool] = []
            for chosen, moved in moves:
                after, terms = evaluate(sites, moved)
                inside += _within(plate, chosen, terms_before, terms, traced)
                for name in names:
                    tests[name].append((chosen, _changed(before[name], after[name])))
            if not all(inside):
                continue
            for name in names:
                if (axes := _axes(tests[name], size)) is not None:
                    votes[bool(inside)][name].append(axes)
        for name in names:
            axes = set.intersection(*cast) if (cast := votes[True][name]) else set().union(*votes[False][name])
            if len(axes) == 1:
                found[name][plate] = axes.pop()


def _within(plate: str, chosen: np.ndarray, before: Arrays, after: Arrays, traced: Traced) -> list[bool]:
    """Of every term in the plate that changed: whether it did at the chosen elements alone."""
    found = []
    for name, plates in traced.plates.items():
        for dim in (dim for dim, of in plates.items() if of == plate):
            changed = _changed(before[name], after[name])
            if changed.any():
                found.append(0 in _axes_of(chosen, np.moveaxis(changed, dim, 0)))
    return found


def _axes(tests: Tests, size: int) -> set[int] | None:
    """Axes along which an array changed at the chosen indices alone in every test; None where it never changed."""
    if not any(changed.any() for _, changed in tests):
        return None
    return set.intersection(*({axis for axis in _axes_of(chosen, changed)} for chosen, changed in tests))


def _axes_of(chosen: np.ndarray, changed: np.ndarray) -> set[int]:
    """Axes of the plate's size along which there is no change outside the chosen indices."""
    candidates = [axis for axis, length in enumerate(changed.shape) if length == chosen.size]
    return {axis for axis in candidates if not np.moveaxis(changed, axis, 0)[~chosen].any()}


def _changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after) & ~((before != before) & (after != after))


def _subsets(size: int) -> Iterator[np.ndarray]:
    """Which of the elements of a plate to move: some, and then the others."""
    if size == 1:
        yield np.ones(1, bool)
        return
    rng = np.random.default_rng(SEED)
    for _ in range(HALVES):
        chosen = np.zeros(size, bool)
        chosen[rng.permutation(size)[: size // 2]] = True
        yield chosen
        yield ~chosen


def _data_moves(data: Any, size: int) -> Iterator[list[tuple[np.ndarray, Any]]]:
    """For every axis of the data of this size: the subsets, each with the data moved there."""
    leaves, structure = jax.tree.flatten(data)
    for number, leaf in enumerate(leaves):
        for axis in (axis for axis, length in enumerate(np.shape(leaf)) if length == size):
            moves = []
            for chosen in _subsets(size):
                moved = [*leaves[:number], _moved(np.asarray(leaf), axis, chosen), *leaves[number + 1 :]]
                moves.append((chosen, jax.tree.unflatten(structure, moved)))
            yield moves


def _moved(array: np.ndarray, axis: int, chosen: np.ndarray) -> np.ndarray:
    """The array with its values at the chosen indices of the axis moved: numbers some way towards another value of the
    array, integers and booleans onto another one."""
    values = np.unique(array)
    rank = np.searchsorted(values, array)
    other = values[(rank + 1) % values.size]
    if array.dtype.kind in "fc":
        other = array + STEP * (other - array) if values.size > 1 else array + 0.01 * (np.abs(array) + 0.01)
    elif values.size == 1:
        other = (array == 0).astype(array.dtype)
    where = np.expand_dims(chosen, tuple(range(1, array.ndim - axis)))
    return np.where(where, other, array).astype(array.dtype)
