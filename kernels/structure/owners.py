"""The owner of every element in a level: found by group tests, blocks that an element ties together joined into one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kernels.structure.codes import (
    NOBODY,
    SEVERAL,
    UNKNOWN,
    Codes,
    any_saturated,
    candidates,
    chance_candidates,
    draw_codes,
    enough_codes,
    explained,
    identify,
)
from kernels.structure.probing import Plan, Point, Prober, StructureError, patterns, touching_sites

Couplings = Literal["join", "refuse"]

POINTS = ((0.25, 0.2), (0.5, 3.0), (0.1, 0.01), (2.0, 10.0))
"""(distance from the start, size of the perturbations) of each point: two always, the others where a doubt remains.

Small moves reach the inside of narrow conditions, large ones survive rounding.
"""
ALWAYS = 2

ROUNDS = 6
CHANCE = 1e-9
"""Fresh codes are drawn until fewer blocks than CHANCE are expected to be joined by accident, for ROUNDS at most."""

NAMED = 5
"""Joins of a level that get a sentence each; the others are counted in one more."""


@dataclass(frozen=True, eq=False)
class Owned:
    """A level after joins. block_of: site -> block of each coordinate; owners: term -> block of each element or -1."""

    name: str
    blocks: int
    block_of: Mapping[str, np.ndarray]
    owners: Mapping[str, np.ndarray]
    joined: tuple[str, ...]


class Search:
    """What the searches in all levels share: prober, traced dependence, points, random generator and rules."""

    def __init__(
        self,
        prober: Prober,
        depends: Mapping[str, frozenset[str]],
        rng: np.random.Generator,
        bits: int,
        couplings: Couplings,
    ) -> None:
        self.prober = prober
        self.depends = depends
        self.rng = rng
        self.bits = bits
        self.couplings = couplings
        self._points: list[Point] = []

    def point(self, number: int) -> Point:
        """The point of this number; the levels share them."""
        while len(self._points) <= number:
            self._points.append(self.prober.point(self.rng, *POINTS[len(self._points)]))
        return self._points[number]

    def patterns(self, plan: Plan, terms: Sequence[str], number: int, codes: Codes) -> np.ndarray:
        """The tests in which the elements of these terms, one after the other, change at a point, uint64 [N]."""
        found = patterns(self.prober, plan, terms, self.point(number), codes, self.seed())
        return np.concatenate([found[name].ravel() for name in terms])

    def seed(self) -> int:
        """A fresh seed for one set of perturbations."""
        return int(self.rng.integers(2**63))


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the tests of a level showed. patterns: uint64 [N], elements of all terms one after the other; term: [N].

    missing: pairs (term, site) that depend by tracing but where no element changed at any point.
    """

    plan: Plan
    terms: tuple[str, ...]
    codes: Codes
    patterns: np.ndarray
    term: np.ndarray
    missing: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Ties:
    """Which blocks the elements that touch several touch.

    elements: their indices [K]; row: element -> distinct case [K]; cases, blocks: the pairs (case, block);
    complete: case -> whether its blocks explain everything that was seen.
    """

    elements: np.ndarray
    row: np.ndarray
    cases: np.ndarray
    blocks: np.ndarray
    complete: np.ndarray

    def blocks_of(self, case: int) -> np.ndarray:
        """The blocks that a case touches."""
        return self.blocks[self.cases == case]


def find_owners(search: Search, plan: Plan) -> Owned:
    """Owners of the elements of all terms that depend on the level, blocks joined where an element touches several."""
    terms = tuple(name for name, sites in search.depends.items() if sites & set(plan.block_of))
    if not terms:
        return Owned(plan.name, plan.blocks, plan.block_of, {}, ())
    evidence = _evidence(search, plan, terms)
    found = identify(evidence.patterns, evidence.codes)
    ties = _ties(search, evidence, np.flatnonzero(found == SEVERAL))
    doubts = _doubts(evidence, found, ties)
    if search.couplings == "refuse" and plan.blocks > 1:
        _refuse(evidence, doubts, ties)
    labels = np.zeros(plan.blocks, np.int64) if doubts else _components(ties, plan.blocks)
    owner = np.where(found >= 0, labels[found], NOBODY)
    owner[ties.elements] = labels[_first_block(ties)][ties.row]
    if doubts:
        unsure = [terms.index(term) for term, _ in evidence.missing]
        owner[(found != NOBODY) | np.isin(evidence.term, unsure)] = 0
    block_of = {site: labels[initial] for site, initial in plan.block_of.items()}
    joined = _sentences(evidence, labels, doubts, ties) if plan.blocks > 1 else ()
    return Owned(plan.name, int(labels.max()) + 1, block_of, _by_term(search, evidence, owner), joined)


def _evidence(search: Search, plan: Plan, terms: tuple[str, ...]) -> Evidence:
    """Test at two points, and at the others as long as something remains unseen, adding up the changes."""
    codes = draw_codes(search.rng, plan.blocks, search.bits)
    sizes = _sizes(search, terms)
    seen = np.zeros(sum(sizes), np.uint64)
    missing = {
        (name, site)
        for name, size in zip(terms, sizes, strict=True)
        for site in search.depends[name] & set(plan.block_of)
        if size
    }
    for number in range(len(POINTS)):
        seen |= search.patterns(plan, terms, number, codes)
        missing -= _touching(search, plan, terms, number, seen)
        doubtful = missing or np.isin(identify(seen, codes), (NOBODY, UNKNOWN)).any()
        if number + 1 >= ALWAYS and not doubtful:
            break
    return Evidence(plan, terms, codes, seen, np.repeat(np.arange(len(terms)), sizes), tuple(sorted(missing)))


def _sizes(search: Search, terms: tuple[str, ...]) -> list[int]:
    """Elements of each term."""
    return [search.point(0).terms[name].size for name in terms]


def _touching(
    search: Search, plan: Plan, terms: tuple[str, ...], number: int, seen: np.ndarray
) -> set[tuple[str, str]]:
    """The pairs (term, site) where the site shows in the term; an only site shows wherever its level does."""
    if len(plan.block_of) > 1:
        return touching_sites(search.prober, plan, terms, search.point(number), search.seed())
    (site,) = plan.block_of
    parts = np.split(seen, np.cumsum(_sizes(search, terms))[:-1])
    return {(name, site) for name, part in zip(terms, parts, strict=True) if part.any()}


def _ties(search: Search, evidence: Evidence, elements: np.ndarray) -> Ties:
    """Which blocks each of these elements touches.

    A foreign code may lie inside a pattern of several by chance: such elements are tested again with fresh codes,
    sparser ones since these also tell many blocks apart, and only what lies inside all patterns is a candidate.
    """
    plan, bits, rounds = evidence.plan, search.bits, [evidence.codes]
    weight = bits // 4 if enough_codes(plan.blocks, bits, bits // 4) else bits // 2
    table = evidence.patterns[elements][None]
    cases, row = np.unique(table, axis=1, return_inverse=True)
    while chance_candidates(cases, rounds) > CHANCE and len(rounds) < ROUNDS:
        rounds.append(draw_codes(search.rng, plan.blocks, bits, weight))
        again = [search.patterns(plan, evidence.terms, number, rounds[-1])[elements] for number in range(ALWAYS)]
        table = np.concatenate([table, np.bitwise_or.reduce(again)[None]])
        cases, row = np.unique(table, axis=1, return_inverse=True)
    if any_saturated(cases, rounds):
        everything = np.arange(plan.blocks)
        return Ties(elements, np.zeros(elements.size, int), np.zeros(plan.blocks, int), everything, np.ones(1, bool))
    case, block = candidates(cases, rounds)
    return Ties(elements, row.ravel(), case, block, explained(cases, rounds, case, block))


def _doubts(evidence: Evidence, found: np.ndarray, ties: Ties) -> list[str]:
    """What the tests could not resolve, as clauses."""
    lost = np.concatenate([np.flatnonzero(found == UNKNOWN), ties.elements[~ties.complete[ties.row]]])
    names = [evidence.terms[index] for index in np.unique(evidence.term[lost])]
    return [
        *(f"term {term!r} depends on site {site!r} but never changed with it" for term, site in evidence.missing),
        *(f"changes of term {name!r} with this level's sites are partly lost" for name in names),
    ]


def _components(ties: Ties, blocks: int) -> np.ndarray:
    """Blocks that a case ties together get one label: block -> 0 .. n - 1 in order of first appearance."""
    if ties.cases.size == 0:
        return np.arange(blocks)
    first = _first_block(ties)[ties.cases]
    edges = coo_array((np.ones(first.size, bool), (first, ties.blocks)), shape=(blocks, blocks))
    _, labels = connected_components(edges, directed=False)
    _, appears, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(appears))[inverse]


def _first_block(ties: Ties) -> np.ndarray:
    """The first block of each case (0 where none is known, which the doubts then cover)."""
    first = np.zeros(ties.complete.size, np.int64)
    first[ties.cases[::-1]] = ties.blocks[::-1]
    return first


def _by_term(search: Search, evidence: Evidence, owner: np.ndarray) -> dict[str, np.ndarray]:
    """The flat owners of all elements as one array a term, of the term's shape."""
    values = search.point(0).terms
    return {
        name: owner[evidence.term == index].reshape(values[name].shape).astype(np.int32)
        for index, name in enumerate(evidence.terms)
    }


def _refuse(evidence: Evidence, doubts: list[str], ties: Ties) -> None:
    """Raise where blocks would have to be joined. The global level, where joining is the rule, may not be in doubt."""
    plan, remedy = evidence.plan, "declare it in the sites' plates, or use couplings='join'"
    sites = ", ".join(repr(site) for site in plan.block_of)
    if doubts:
        raise StructureError(f"level {plan.name!r} (sites {sites}): {'; '.join(doubts)}; {remedy}")
    if plan.plated and ties.elements.size:
        term = evidence.terms[evidence.term[ties.elements[0]]]
        blocks = plan.names(ties.blocks_of(ties.row[0]))
        raise StructureError(
            f"level {plan.name!r} (sites {sites}): an element of term {term!r} touches {blocks}; {remedy}"
        )


def _sentences(evidence: Evidence, labels: np.ndarray, doubts: list[str], ties: Ties) -> tuple[str, ...]:
    """A sentence for each join made."""
    plan = evidence.plan
    if doubts:
        return tuple(f"level {plan.name!r}: joined into one block, because {doubt}" for doubt in doubts)
    sizes = np.bincount(labels)
    joined = np.flatnonzero(sizes > 1)
    element_label = labels[_first_block(ties)][ties.row]
    sentences = []
    for label in joined[:NAMED]:
        members = np.flatnonzero(labels == label)
        terms = np.unique(evidence.term[ties.elements[element_label == label]])
        because = ", ".join(repr(evidence.terms[index]) for index in terms)
        what = plan.names(members)
        sentences.append(
            f"level {plan.name!r}: {what} joined, because elements of term {because} touch several of them"
        )
    if joined.size > NAMED:
        sentences.append(f"level {plan.name!r}: {joined.size - NAMED} more joins of the same kind")
    return tuple(sentences)
