"""The columns of a design from a formula and the sheet of samples (formulaic), and what is wrong with them."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from workflows.models.genes.inputs.problems import Unusable, repeated, some

INTERCEPT = "Intercept"


class Design(NamedTuple):
    """matrix: [sample, column], the intercept first. columns: their names as the formula gives them. effect: the index
    of the column asked for, among those after the intercept."""

    matrix: np.ndarray
    columns: list[str]
    effect: int


def sheet_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The sheet with text as factors whose baseline is the level of the first sample.

    The order of a factor's categories is kept where it says something: where it is ordered, or not alphabetical (which
    it is by itself, AnnData's always). Raises Unusable for columns of one name.
    """
    if twice := repeated(map(str, frame.columns)):
        raise Unusable(f"columns are there more than once: {some(twice)}")
    return pd.DataFrame({name: _column(frame[name]) for name in frame.columns}, index=frame.index)


def _column(values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        categories = list(values.cat.categories)
        if values.cat.ordered or categories != sorted(categories, key=str):
            return values.cat.remove_unused_categories()
        values = values.astype(object)
    elif pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return values
    else:
        values = values.astype(object)
    return values.astype(pd.CategoricalDtype(list(dict.fromkeys(values.dropna()))))


def design_of(formula: object, sheet: pd.DataFrame, effect: object) -> Design:
    """The design of a formula such as `~ cell + dex`. effect: name of the column of interest; None: the last.

    Raises Unusable with everything that is wrong.
    """
    if not isinstance(formula, str):
        raise Unusable(f"design: {formula!r} was given: give a formula as text, such as '~ cell + dex'")
    matrix = _matrix(formula, sheet)
    columns = [str(name) for name in matrix.columns]
    values = np.asarray(matrix, dtype=float)
    problems = _problems(formula, values, columns)
    others = [name for name in columns if name != INTERCEPT]
    if not others:
        problems.append(f"design: {formula!r} has no column beside the intercept: there is no effect to look for")
    elif effect is not None and effect not in others:
        problems.append(
            f"effect: the design {formula!r} has no {effect!r}; it has {', '.join(others)} (the baseline of a factor, "
            "which is the level of the sheet's first sample, has no column)"
        )
    if problems:
        raise Unusable(*problems)
    return Design(values, columns, len(others) - 1 if effect is None else others.index(str(effect)))


def _matrix(formula: str, sheet: pd.DataFrame) -> pd.DataFrame:
    """formulaic's matrix of the formula."""
    from formulaic import Formula
    from formulaic.errors import FormulaicError
    from formulaic.formula import SimpleFormula

    there = f"the sheet has {', '.join(sheet.columns) or 'no columns'}"
    try:
        parsed = Formula(formula)
    except (FormulaicError, SyntaxError) as error:  # the latter of a part that is Python's to evaluate, and none
        raise Unusable(
            f"design: {formula!r} is no formula ({_plain(error)}); write one such as '~ cell + dex'"
        ) from error
    if not isinstance(parsed, SimpleFormula):
        raise Unusable(f"design: {formula!r} has a left side or several parts: write only what follows the counts' ~")
    try:
        used = sorted(str(name) for name in parsed.required_variables)
    except SyntaxError as error:
        raise Unusable(f"design: {formula!r} is no formula ({error.msg}); write one such as '~ cell + dex'") from error
    if missing := sorted(name for name in used if name not in sheet):
        raise Unusable(f"design: {formula!r} names {', '.join(missing)}, and {there}")
    if holes := {name: sheet.index[sheet[name].isna()] for name in used if sheet[name].isna().any()}:
        raise Unusable(*(f"samples: {name} is missing for {some(samples)}" for name, samples in holes.items()))
    try:
        return parsed.get_model_matrix(sheet)
    except Exception as error:
        raise Unusable(f"design: {formula!r} cannot be worked out ({_plain(error)}); {there}") from error


def _problems(formula: str, matrix: np.ndarray, columns: list[str]) -> list[str]:
    samples, number = matrix.shape
    if not np.isfinite(matrix).all():
        bad = [name for name, good in zip(columns, np.isfinite(matrix).all(axis=0), strict=True) if not good]
        return [f"design: {', '.join(bad)} of {formula!r} has values that are not finite"]
    problems = []
    if columns[:1] != [INTERCEPT]:
        problems.append(f"design: {formula!r} has no intercept, which every gene needs: leave out the 0 or the -1")
    if tied := _dependent(matrix, columns):
        problems.append(
            f"design: {formula!r} is not of full rank: {some(tied)} can be made of the columns before, so that their "
            f"effects cannot be told apart; the columns are {', '.join(columns)}"
        )
    if samples - (number - len(tied)) <= 0:
        problems.append(
            f"design: {formula!r} has {number} columns for {samples} samples: no residual degree of freedom is left to "
            "learn dispersions from; use fewer terms, or more samples"
        )
    return problems


def _dependent(matrix: np.ndarray, columns: list[str]) -> list[str]:
    """The columns that are linear combinations of those before them."""
    ranks = [int(np.linalg.matrix_rank(matrix[:, : place + 1])) for place in range(len(columns))]
    return [name for name, rank, before in zip(columns, ranks, [0, *ranks], strict=False) if rank == before]


def _plain(error: Exception) -> str:
    """One line of an error, without formulaic's colours and brackets."""
    text = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error) or type(error).__name__)
    return " ".join(text.split())
