"""Verdicts on the fit in lines for print."""

from collections.abc import Iterator

from workflows.results.fit.check import Fit, check
from workflows.results.fit.replicates import DATA_SETS
from workflows.results.fit.verdict import Verdict, told
from workflows.results.protocol import StoredRun

WIDTH = 12
CHEAP = 20_000_000
"""Observations in all data sets together that take some seconds to draw."""


def closing(run: StoredRun) -> list[str]:
    """The verdicts at the end of a run; where they would take long, how to have them; nothing without observations.

    Raises FitError and ModelError as `check`.
    """
    reader = run.reader()
    groups = reader.groups()
    if "observed_data" not in groups or not reader.attributes["summary"]["draws"]:
        return []
    observations = sum(variable.size for variable in groups["observed_data"].data_vars.values())
    if observations * DATA_SETS > CHEAP:
        return [f"Does the model fit? Many observations: `maxwell check {run.path}` draws data sets and says."]
    return lines(check(run))


def lines(fit: Fit) -> list[str]:
    """A heading and a line for each family."""
    heading = f"Does the model fit? {fit.data_sets} data sets drawn from the posterior, beside the data"
    return [heading, *(_line(verdict) for verdict in fit.verdicts)]


def _line(verdict: Verdict) -> str:
    text = f": {verdict.text}" if verdict.text else ""
    return f"  {verdict.judgement:<{WIDTH}}  {verdict.family.name}{text}"


def table(fit: Fit) -> Iterator[str]:
    """Every statistic: in the data, predicted with its interval, the share of data sets in which it is larger."""
    for verdict in fit.verdicts:
        family = verdict.family
        width = max(len("statistic"), *map(len, family.labels))
        yield ""
        yield f"{family.name}: {verdict.judgement}"
        yield f"  {'statistic':<{width}}{'data':>10}{'predicted':>11}{'95% interval':>22}{'P(larger)':>18}"
        for k, label in enumerate(family.labels):
            observed, middle, low, high = (
                told(float(x), family) for x in (verdict.observed[k], verdict.median[k], *verdict.between[:, k])
            )
            p = f"{verdict.p[k]:.3f} +- {verdict.error[k]:.3f}"
            mark = "  *" if verdict.apart[k] else ""
            yield f"  {label:<{width}}{observed:>10}{middle:>11}{f'[{low}, {high}]':>22}{p:>18}{mark}"
