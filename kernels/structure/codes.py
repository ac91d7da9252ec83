"""Constant-weight codes: which of thousands of blocks touches an element, read from the pattern of a few group tests.

Each block gets its own set of `weight` out of `bits` tests and is perturbed in exactly those. An element that one
block touches changes in the pattern of this block's code. No union of two or more codes of the same weight can be
mistaken for one code, since it has more bits. Patterns and codes are uint64, bit j for test j.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

MOST_BITS = 64
NOBODY = -1
SEVERAL = -2
UNKNOWN = -3

_CHUNK = 10_000_000


@dataclass(frozen=True, eq=False)
class Codes:
    """One distinct code a block: words uint64 [B], each with `weight` of `bits` bits set."""

    words: np.ndarray
    bits: int
    weight: int

    def carriers(self, bit: int) -> np.ndarray:
        """The blocks that are perturbed in a test, bool [B]."""
        return (self.words >> np.uint64(bit)) & np.uint64(1) == 1


def draw_codes(rng: np.random.Generator, blocks: int, bits: int, weight: int | None = None) -> Codes:
    """Random distinct codes of half weight, or one test a block where that takes no more than `bits` tests."""
    if not 2 <= bits <= MOST_BITS:
        raise ValueError(f"bits is {bits}; allowed are 2 to {MOST_BITS}")
    if blocks <= bits and weight is None:
        return Codes(np.uint64(1) << np.arange(blocks, dtype=np.uint64), blocks, 1)
    weight = bits // 2 if weight is None else weight
    if not enough_codes(blocks, bits, weight):
        raise ValueError(f"{bits} bits have too few codes for {blocks} blocks: use more bits (40 serve any model)")
    words = np.zeros(0, np.uint64)
    while words.size < blocks:
        words = _distinct(np.concatenate([words, _words(rng, blocks - words.size, bits, weight)]))
    return Codes(words, bits, weight)


def enough_codes(blocks: int, bits: int, weight: int) -> bool:
    """Whether there are so many words of this weight that distinct ones are drawn in a few trials."""
    return comb(bits, weight) >= 4 * blocks


def identify(patterns: np.ndarray, codes: Codes) -> np.ndarray:
    """The block that each pattern names; NOBODY for no change, SEVERAL for more bits than a code has, else UNKNOWN.

    patterns: uint64 [N]. UNKNOWN means that a change was lost (rounded away or clipped) in some test.
    """
    order = np.argsort(codes.words)
    place = np.minimum(np.searchsorted(codes.words[order], patterns), codes.words.size - 1)
    found = order[place]
    blocks = np.where(codes.words[found] == patterns, found, UNKNOWN)
    blocks = np.where(np.bitwise_count(patterns) > codes.weight, SEVERAL, blocks)
    return np.where(patterns == 0, NOBODY, blocks).astype(np.int64)


def candidates(patterns: np.ndarray, codes: Sequence[Codes]) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks may have touched each element: those whose code lies inside its pattern in every round of tests.

    patterns: uint64 [rounds, N]. Returns (elements, blocks), the pairs of indices in order of the elements.
    """
    size, found = patterns.shape[1], [np.zeros((2, 0), np.int64)]
    step = max(1, _CHUNK // codes[0].words.size)
    for start in range(0, size, step):
        inside = np.ones((min(step, size - start), codes[0].words.size), bool)
        for pattern, code in zip(patterns, codes, strict=True):
            inside &= code.words & ~pattern[start : start + step, None] == 0
        element, block = np.nonzero(inside)
        found.append(np.stack([element + start, block]))
    elements, blocks = np.concatenate(found, axis=1)
    return elements, blocks


def explained(patterns: np.ndarray, codes: Sequence[Codes], elements: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Whether the codes of an element's candidates make up all of its pattern in every round, bool [N]."""
    union = np.zeros_like(patterns)
    for round_, code in enumerate(codes):
        np.bitwise_or.at(union[round_], elements, code.words[blocks])
    return (union == patterns).all(axis=0)


def any_saturated(patterns: np.ndarray, codes: Sequence[Codes]) -> bool:
    """Whether some element changed in every test of every round, so that every block is its candidate."""
    full = np.asarray([[(1 << code.bits) - 1] for code in codes], np.uint64)
    return bool((patterns == full).all(axis=0).any())


def chance_candidates(patterns: np.ndarray, codes: Sequence[Codes]) -> float:
    """Expected number of blocks that lie inside some element's patterns, uint64 [rounds, N], by chance alone.

    A random code of weight w lies inside a pattern of v of m bits with probability C(v, w) / C(m, w).
    """
    if codes[0].weight == 1:
        return 0.0
    chance = np.full(patterns.shape[1], float(codes[0].words.size))
    for pattern, code in zip(patterns, codes, strict=True):
        inside = [comb(count, code.weight) / comb(code.bits, code.weight) for count in range(code.bits + 1)]
        chance *= np.asarray(inside)[np.bitwise_count(pattern)]
    return float(chance.sum())


def _words(rng: np.random.Generator, count: int, bits: int, weight: int) -> np.ndarray:
    """Random words of the given weight, uint64 [count]."""
    tests = np.argsort(rng.random((count, bits)), axis=1)[:, :weight]
    return np.bitwise_or.reduce(np.uint64(1) << tests.astype(np.uint64), axis=1)


def _distinct(words: np.ndarray) -> np.ndarray:
    """The words in their order, repetitions removed."""
    _, first = np.unique(words, return_index=True)
    return words[np.sort(first)]
