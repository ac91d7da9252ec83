"""Which inputs each output of a traced function can depend on, read from its jaxpr."""

from collections.abc import Sequence

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

Sources = frozenset[int]
"""Indices of inputs of the traced function."""

NOTHING: Sources = frozenset()


def sources(jaxpr: Jaxpr, inputs: Sequence[Sources]) -> list[Sources]:
    """The sources of each output of `jaxpr`, given those of its inputs.

    Follows calls, custom derivatives, conditionals and loops (to their fixed point); an unknown primitive, one that
    carries another program included, makes each of its outputs depend on each of its inputs. Never too small: it may
    name a source that cannot matter (x * 0, or an element of a concatenation that is not read).
    """
    known: dict[Var, Sources] = dict(zip(jaxpr.invars, inputs, strict=True))
    for equation in jaxpr.eqns:
        given = [_read(known, atom) for atom in equation.invars]
        known.update(zip(equation.outvars, _equation(equation, given), strict=True))
    return [_read(known, atom) for atom in jaxpr.outvars]


def _read(known: dict[Var, Sources], atom: Var | Literal) -> Sources:
    return NOTHING if isinstance(atom, Literal) else known.get(atom, NOTHING)


def _equation(equation: JaxprEqn, given: list[Sources]) -> list[Sources]:
    """The sources of each output of one equation, given those of its inputs."""
    name, parameters = equation.primitive.name, equation.params
    if name == "cond":
        return _cond([branch.jaxpr for branch in parameters["branches"]], given)
    if name == "scan":
        return _scan(parameters["jaxpr"].jaxpr, given, parameters["num_consts"], parameters["num_carry"])
    if name == "while":
        return _while(parameters, given)
    inner = _called(equation)
    if inner is not None:
        return sources(inner, given)
    return [NOTHING.union(*given)] * len(equation.outvars)


def _called(equation: JaxprEqn) -> Jaxpr | None:
    """The program that a plain call runs on exactly this equation's inputs and outputs, or None."""
    if equation.primitive.name not in {
        "jit",
        "pjit",
        "closed_call",
        "core_call",
        "remat",
        "remat2",
        "checkpoint",
        "custom_jvp_call",
        "custom_vjp_call",
        "custom_vjp_call_jaxpr",
    }:
        return None
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        program = equation.params.get(key)
        inner = program.jaxpr if isinstance(program, ClosedJaxpr) else program
        if (
            isinstance(inner, Jaxpr)
            and len(inner.invars) == len(equation.invars)
            and len(inner.outvars) == len(equation.outvars)
        ):
            return inner
    return None


def _cond(branches: list[Jaxpr], given: list[Sources]) -> list[Sources]:
    """Every branch counts, and the index that chooses between them."""
    results = [sources(branch, given[1:]) for branch in branches]
    return [given[0].union(*choices) for choices in zip(*results, strict=True)]


def _scan(body: Jaxpr, given: list[Sources], constants: int, carried: int) -> list[Sources]:
    """The carry grows until it no longer changes."""
    fixed, carry, stacked = given[:constants], given[constants : constants + carried], given[constants + carried :]
    while True:
        results = sources(body, [*fixed, *carry, *stacked])
        grown = [old | new for old, new in zip(carry, results[:carried], strict=True)]
        if grown == carry:
            return [*grown, *results[carried:]]
        carry = grown


def _while(parameters: dict, given: list[Sources]) -> list[Sources]:
    """As a scan; what the condition reads decides the number of turns, hence touches everything carried."""
    asked, turned = parameters["cond_nconsts"], parameters["body_nconsts"]
    condition, body = parameters["cond_jaxpr"].jaxpr, parameters["body_jaxpr"].jaxpr
    carry = given[asked + turned :]
    while True:
        (stop,) = sources(condition, [*given[:asked], *carry])
        results = sources(body, [*given[asked : asked + turned], *carry])
        grown = [old | new | stop for old, new in zip(carry, results, strict=True)]
        if grown == carry:
            return grown
        carry = grown
