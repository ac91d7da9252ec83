"""The 16 parameter vectors that give one curve and one likelihood: why the model's signs are constrained.

A logistic is one minus its mirror image, so each of the two steps can be turned round; the steps can change places; and
sigma enters the likelihood squared. Unconstrained, the posterior has 16 equal modes.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from workflows.models.rri.curve import Curve
from workflows.models.rri.published import SIGNS


def turn_first(curve: Curve) -> Curve:
    """The first step turned round: s1 becomes 1 - s1."""
    return curve._replace(alpha=curve.alpha + curve.beta, beta=-curve.beta, c=-curve.c, rate=-curve.rate)


def turn_second(curve: Curve) -> Curve:
    """The second step turned round."""
    return curve._replace(alpha=curve.alpha - curve.c * curve.beta, c=-curve.c, phi=-curve.phi)


def change_places(curve: Curve) -> Curve:
    """The two steps under each other's names. Needs c other than 0."""
    return Curve(
        alpha=curve.alpha,
        beta=-curve.c * curve.beta,
        c=1.0 / curve.c,
        rate=curve.phi,
        phi=curve.rate,
        tau=curve.tau + curve.delta,
        delta=-curve.delta,
    )


def mirrors(curve: Curve, sigma: float) -> Iterator[tuple[Curve, float]]:
    """All 16 images of the parameters, themselves first."""
    for swapped, second, first, sign in product((False, True), (False, True), (False, True), (1.0, -1.0)):
        image = turn_first(curve) if first else curve
        image = turn_second(image) if second else image
        yield change_places(image) if swapped else image, sign * sigma


def allowed(curve: Curve, sigma: float) -> bool:
    """Whether the model's constraints allow the parameters."""
    return bool(np.all(np.array([*curve, sigma], float) * SIGNS > 0))
