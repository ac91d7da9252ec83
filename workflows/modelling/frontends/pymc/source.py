"""A PyMC model taken apart: graphs of its variables with sizes fixed, and what is refused before any compilation."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymc.logprob.basic import transformed_conditional_logp
from pymc.model.transform.optimization import freeze_dims_and_data
from pymc.pytensorf import extract_obs_data, rvs_in_graph
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Variable
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.variable import TensorConstant

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.pymc.graphs import CHECKS, NO_CHECKS, Arguments, Graph


class Source:
    """What the front end asks of a PyMC model.

    label: for messages. model: with dims and data as they are now. free, observed: names. *_rvs, deterministics,
    potentials: variables.
    rewrite: what becomes of the checks of parameters. arguments: the data of all graphs.
    """

    def __init__(self, label: str, given: Any) -> None:
        """Raises ModelError for what is refused."""
        self.label = label
        _refuse_kinds(label, given)
        self.model = freeze_dims_and_data(given)
        self.rewrite = CHECKS if given.check_bounds else NO_CHECKS
        # In the order in which they were written, which freezing does not keep.
        self.free_rvs = [self.model[rv.name] for rv in given.free_RVs]
        self.observed_rvs = [self.model[rv.name] for rv in given.observed_RVs]
        self.deterministics = [self.model[variable.name] for variable in given.deterministics]
        self.potentials = [self.model[variable.name] for variable in given.potentials]
        self.free = [rv.name for rv in self.free_rvs]
        self.observed = [rv.name for rv in self.observed_rvs]
        values = {self.model.rvs_to_values[rv]: rv.name for rv in self.observed_rvs}
        self.arguments = Arguments(values | {variable: variable.name for variable in self.model.data_vars})
        weighed = [*self.free_rvs, *self.observed_rvs, *self.potentials]
        terms = self.model.logp(weighed, jacobian=True, sum=False)
        self.density: dict[str, Variable] = dict(zip([variable.name for variable in weighed], terms, strict=True))
        for name, term in self.density.items():
            _refuse_random(label, name, term)

    def compiled(self, inputs: Sequence[Variable], outputs: Mapping[str, Variable]) -> Graph:
        """Log probabilities as a function in JAX. Raises ModelError where JAX has no such operation."""
        try:
            return Graph(inputs, list(outputs.values()), self.arguments, self.rewrite)
        except NotImplementedError as error:
            name, reason = self._culprit(inputs, outputs, error)
            raise ModelError(
                f"model {self.label!r}: PyTensor cannot compile {name!r} for JAX ({reason}): write it with PyTensor "
                "operations, register the missing one with pytensor.link.jax.dispatch.jax_funcify, or use pm.sample"
            ) from error

    def _culprit(
        self, inputs: Sequence[Variable], outputs: Mapping[str, Variable], error: Exception
    ) -> tuple[str, Exception]:
        """The first of the outputs that JAX cannot compute, and why."""
        for name, output in outputs.items():
            try:
                Graph(inputs, [output], self.arguments, self.rewrite)
            except NotImplementedError as found:
                return name, found
        return ", ".join(outputs), error

    @property
    def inputs(self) -> list[Variable]:
        """The unconstrained coordinates of the free variables."""
        return [self.model.rvs_to_values[rv] for rv in self.free_rvs]

    def point(self) -> dict[str, np.ndarray]:
        """PyMC's initial point, unconstrained, by the names of the variables."""
        found = self.model.initial_point(0)
        return {rv.name: np.asarray(found[self.model.rvs_to_values[rv].name], np.float64) for rv in self.free_rvs}

    def constrained(self) -> dict[str, Variable]:
        """Free and deterministic variables as functions of the unconstrained coordinates."""
        variables = [*self.free_rvs, *self.deterministics]
        return dict(zip([x.name for x in variables], self.model.replace_rvs_by_values(variables), strict=True))

    def natural(self) -> dict[str, Variable]:
        """An input for the value of every free variable on its own scale."""
        return {rv.name: rv.type(name=rv.name) for rv in self.free_rvs}

    def unconstrained(self, natural: dict[str, Variable]) -> dict[str, Variable]:
        """The unconstrained coordinates as functions of the values."""
        return self._given([self._forward(rv) for rv in self.free_rvs], self.free, natural)

    def log_likelihood(self, natural: dict[str, Variable]) -> dict[str, Variable]:
        """Log probability of every observation as a function of the values."""
        rvs = [*self.free_rvs, *self.observed_rvs]
        values = {rv: natural[rv.name] if rv.name in natural else self.model.rvs_to_values[rv] for rv in rvs}
        terms = transformed_conditional_logp(
            rvs=list(self.observed_rvs),
            rvs_to_values=values,
            rvs_to_transforms=dict.fromkeys(rvs),
            jacobian=False,
        )
        return dict(zip(self.observed, terms, strict=True))

    def outcomes(self, natural: dict[str, Variable]) -> dict[str, Variable]:
        """The observed variables, drawn anew, given the values."""
        return self._given(list(self.observed_rvs), self.observed, natural)

    def prior(self) -> dict[str, Variable]:
        """Free and deterministic variables and outcomes, drawn from the prior."""
        variables = [*self.free_rvs, *self.deterministics, *self.observed_rvs]
        return {variable.name: variable for variable in variables}

    def starts(self) -> dict[str, Variable]:
        """The unconstrained coordinates of a draw from the prior."""
        return {rv.name: self._forward(rv) for rv in self.free_rvs}

    def _forward(self, rv: Variable) -> Variable:
        transform = self.model.rvs_to_transforms[rv]
        return rv if transform is None else transform.forward(rv, *rv.owner.inputs)

    def _given(
        self, outputs: Sequence[Variable], names: Sequence[str], natural: dict[str, Variable]
    ) -> dict[str, Variable]:
        replaced = clone_replace(list(outputs), replace={rv: natural[rv.name] for rv in self.free_rvs})
        return dict(zip(names, replaced, strict=True))


def generators(outputs: Sequence[Variable]) -> tuple[list[Variable], list[Variable]]:
    """The graph with its random generators replaced by inputs, and these."""
    shared = [x for x in dict.fromkeys(ancestors(outputs)) if isinstance(x.type, RandomType) and x.owner is None]
    inputs = {generator: generator.type() for generator in shared}
    return clone_replace(list(outputs), replace=inputs), list(inputs.values())


def observed_values(model: Any) -> dict[str, np.ndarray]:
    """What was observed, by name."""
    return {rv.name: np.asarray(extract_obs_data(model.rvs_to_values[rv])) for rv in model.observed_RVs}


def constant_values(model: Any) -> dict[str, np.ndarray]:
    """pm.Data that are not what was observed, by name."""
    values = set(model.rvs_to_values.values())
    return {x.name: np.asarray(x.data) for x in model.data_vars if isinstance(x, TensorConstant) and x not in values}


def _refuse_kinds(label: str, model: Any) -> None:
    """Raise ModelError for a model that has nothing to sample, or discrete variables."""
    if not model.free_RVs:
        raise ModelError(f"model {label!r} has no free variable: there is nothing to sample")
    for rv in model.free_RVs:
        if rv.dtype.startswith(("int", "uint", "bool")):
            missing = " (values missing among what was observed)" if rv.name.endswith("_unobserved") else ""
            raise ModelError(
                f"model {label!r}: free variable {rv.name!r}{missing} is discrete: marginalise it, with "
                "pymc_extras.marginalize(model, [...]), pm.Mixture, or a logsumexp in pm.Potential"
            )


def _refuse_random(label: str, name: str, term: Variable) -> None:
    """Raise ModelError for a term that is random."""
    random = [x for x in ancestors([term]) if isinstance(x, SharedVariable) and isinstance(x.type, RandomType)]
    if random or rvs_in_graph([term]):
        raise ModelError(
            f"model {label!r}: the log density of {name!r} is random, as with pm.Minibatch: "
            "give all data (pm.Data), or a subset that stays the same"
        )


def warn_of_potentials(label: str) -> None:
    """What PyMC says of prior draws too."""
    warnings.warn(
        f"draws from the prior of model {label!r} take no account of its potentials: they are factors of the density "
        "without a way to draw from them",
        UserWarning,
        stacklevel=3,
    )
