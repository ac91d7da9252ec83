"""How much work a program is, counted in its jaxpr: the same on every machine, where a clock would not be."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

LEAST = 200
"""Operations that an equation counts for at least: what it costs to begin one, in numbers worked out meanwhile."""

TAKING = ("slice", "dynamic_slice", "gather")
"""Primitives that read no more of an array than they give."""


def operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Numbers that a function of arrays works out, about a nanosecond each on a core: those of every equation, LEAST
    at least. The body of a scan counts for each turn, that of a `while` once (how often it turns is not known), and
    of a choice the dearest branch. arguments: arrays, or their shapes."""
    return _of_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of_jaxpr(jaxpr: Jaxpr) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: JaxprEqn) -> int:
    inner = [_of_jaxpr(program) for program in _programs(equation)]
    if equation.primitive.name == "scan":
        return int(equation.params["length"]) * sum(inner)
    if equation.primitive.name == "cond":
        return max(inner)
    if inner:
        return sum(inner)
    return max(LEAST, _numbers(equation))


def _numbers(equation: JaxprEqn) -> int:
    """What one equation works out: the products behind a contraction, else as many as it reads or writes."""
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = getattr(equation.invars[0].aval, "shape", ())
        return _size(equation.outvars) * math.prod(shape[axis] for axis in contracted)
    read = 0 if equation.primitive.name in TAKING else _size(equation.invars)
    return max(read, _size(equation.outvars))


def _size(variables: Any) -> int:
    return max((math.prod(getattr(variable.aval, "shape", ())) for variable in variables), default=0)


def _programs(equation: JaxprEqn) -> list[Jaxpr]:
    """The programs that an equation carries."""
    found: list[Jaxpr] = []
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else [value]:
            if isinstance(item, ClosedJaxpr):
                found.append(item.jaxpr)
            elif isinstance(item, Jaxpr):
                found.append(item)
    return found
