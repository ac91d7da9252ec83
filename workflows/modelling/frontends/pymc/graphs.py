"""PyTensor graphs as JAX functions whose data are arguments.

PyTensor would write arrays into the program as constants. Here they become inputs, by name: the same array is one
argument in all functions of a model. What decides the shape of something stays a constant, for JAX knows fixed shapes.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from pytensor.compile.builders import OpFromGraph
from pytensor.compile.mode import JAX, Mode
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors, io_toposort
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.scan.op import Scan
from pytensor.tensor.basic import Alloc, AllocEmpty, ARange, Eye, Nonzero, Split
from pytensor.tensor.extra_ops import Repeat, Unique
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.shape import Reshape, Shape, Shape_i
from pytensor.tensor.subtensor import AdvancedIncSubtensor, AdvancedSubtensor, IncSubtensor, Subtensor
from pytensor.tensor.variable import TensorConstant

from workflows.modelling.frontends.pymc.dispatch import mended_operations

CHECKS = "local_check_parameter_to_ninf_switch"
"""PyMC's rewrite that makes a wrong parameter (a negative sigma) a log probability of -inf, as in `compile_logp`."""
NO_CHECKS = "local_remove_check_parameter"
"""The one that takes the checks out, for models with check_bounds=False and where nothing is weighed."""


class Arguments:
    """The arrays that the functions of one model take as data.

    arrays: by name; those of pm.Data and observed variables have their names, others are constant_0, constant_1, ...
    """

    def __init__(self, names: Mapping[Variable, str]) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        for variable, name in names.items():
            if isinstance(variable, TensorConstant):
                self._name(variable, name)

    def lift(self, outputs: Sequence[Variable]) -> tuple[list[Variable], dict[str, Variable]]:
        """The graph with its arrays replaced by inputs, and the input of each array it uses, by name."""
        fixed = set(ancestors(_shaping(outputs), blockers=_shapes(outputs)))
        # In the order of the graph, not of a set: names of constants are the same in every process.
        arrays = [x for x in ancestors(outputs) if isinstance(x, TensorConstant) and x.ndim and x not in fixed]
        inputs: dict[str, Variable] = {}
        replacements: dict[Variable, Variable] = {}
        for constant in dict.fromkeys(arrays):
            if np.size(constant.data) < 2 and _key(constant) not in self._known:
                continue
            name = self._name(constant)
            replacements[constant] = inputs.setdefault(name, constant.type(name=name))
        return clone_replace(list(outputs), replace=replacements), inputs

    def _name(self, constant: TensorConstant, name: str | None = None) -> str:
        key = _key(constant)
        if key not in self._known:
            unnamed = sum(known.startswith("constant_") for known in self.arrays)
            chosen = name or f"constant_{unnamed}"
            self._known[key] = chosen
            self.arrays[chosen] = np.asarray(constant.data)
        return self._known[key]


def _key(constant: TensorConstant) -> tuple[Any, ...]:
    return (constant.type, np.asarray(constant.data).tobytes())


class Graph:
    """Outputs of a PyTensor graph as a function of values in JAX.

    Raises NotImplementedError where JAX has no such operation. Travels to other processes by cloudpickle.
    """

    def __init__(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], arguments: Arguments, rewrite: str
    ) -> None:
        lifted, data = arguments.lift(outputs)
        program = FunctionGraph(inputs=[*inputs, *data.values()], outputs=lifted, clone=True)
        mode = Mode(linker=JAX.linker, optimizer=JAX.provided_optimizer.including(rewrite))
        mode.optimizer.rewrite(program)
        with warnings.catch_warnings(), mended_operations():
            # An assertion about values is no part of a traced program, as JAX cannot stop in the middle of one.
            warnings.filterwarnings("ignore", message="(?s)Skipping .* Op")
            self._function = jax_funcify(program)
        self._names = tuple(data)

    def __call__(self, values: Iterable[Any], data: Mapping[str, jax.Array]) -> tuple[jax.Array, ...]:
        """The outputs at values of the inputs, in their order; data by name."""
        arrays = (jax.numpy.asarray(data[name]) for name in self._names)
        return tuple(self._function(*values, *arrays))


def _shapes(outputs: Sequence[Variable]) -> list[Variable]:
    """What reads the shape of an array and not its values."""
    return [node.outputs[0] for node in io_toposort([], outputs) if isinstance(node.op, (Shape, Shape_i))]


def _shaping(outputs: Sequence[Variable]) -> list[Variable]:
    """The inputs of operations that decide the shape of their outputs by value."""
    return [node.inputs[index] for node in io_toposort([], outputs) for index in _shaping_inputs(node)]


def _shaping_inputs(node: Apply) -> list[int]:
    """Which inputs of an operation decide the shape of its outputs."""
    op = getattr(node.op, "core_op", node.op)
    everything = range(len(node.inputs))
    if isinstance(op, (Reshape, RandomVariable, Repeat)):
        return [1]
    if isinstance(op, (AllocEmpty, ARange, Eye, Nonzero, Unique)):
        return list(everything)
    if isinstance(op, (Alloc, Subtensor)):
        return list(everything[1:])
    if isinstance(op, IncSubtensor):
        return list(everything[2:])
    if isinstance(op, Split):
        return [2]
    if isinstance(op, (AdvancedSubtensor, AdvancedIncSubtensor)):
        return [i for i in everything if getattr(node.inputs[i].type, "dtype", "") == "bool"]
    if isinstance(op, Scan):
        # Its number of steps, and whatever may be a size inside.
        return [i for i in everything if i == 0 or str(getattr(node.inputs[i].type, "dtype", "")).startswith("int")]
    if isinstance(op, OpFromGraph):
        inner = op.fgraph
        inside = set(ancestors(_shaping(inner.outputs), blockers=_shapes(inner.outputs)))
        return [i for i, variable in enumerate(inner.inputs) if variable in inside]
    return []
