"""Schools: the effect in each, beside what the school alone says."""

from workflows.models.schools.model import EFFECTS, ERRORS, SCHOOLS
from workflows.results.protocol import StoredRun
from workflows.results.tables.draws import INTERVAL, ends, interval, pooled


def lines(run: StoredRun) -> list[str]:
    """Posterior mean and interval of every school's effect, its own estimate and standard error."""
    draws = pooled(run.data["posterior"]["theta"])
    between = ends(draws).T
    table = [
        f"Effect of coaching ({len(draws):,} draws)",
        f"  {'school':<8}{'mean':>7}{f'{INTERVAL:.0%} interval':>18}{'its own estimate':>20}",
    ]
    for place, school in enumerate(SCHOOLS):
        own = f"{EFFECTS[place]:.0f} +- {ERRORS[place]:.0f}"
        table.append(f"  {school:<8}{draws[:, place].mean():>7.1f}{interval(between[place], '5.1f'):>18}{own:>20}")
    return table
