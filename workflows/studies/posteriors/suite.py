"""The table of the suite's posteriors."""

from workflows.studies.posteriors.kinds import (
    counts,
    crossed,
    dynamics,
    geometry,
    hidden_markov,
    hierarchies,
    outcomes,
    processes,
    regressions,
    shrinkage,
    spatial,
    time_series,
    transits,
)
from workflows.studies.posteriors.posterior import Posterior

POSTERIORS = (
    Posterior("earnings", regressions.earnings, "coefficients of 1e3 and 1e5 with flat priors"),
    Posterior("dates", regressions.dates, "intercept and slope correlate to 1 - 1e-9; a masked prior is flat"),
    Posterior("avoidance", regressions.avoidance, "vague priors on the coefficients of counters up to 25"),
    Posterior("poisson_vague", regressions.poisson_vague, "the rate overflows at prior draws"),
    Posterior("robust", regressions.robust, "degrees of freedom with a long tail"),
    Posterior("measurement_error", regressions.measurement_error, "a latent covariate for every row"),
    Posterior("light_curve", transits.light_curve, "a time of seven digits; flat where the transit is not"),
    Posterior("ephemeris", transits.ephemeris, "posterior 1e-5 of the prior wide, 1e-9 of its value"),
    Posterior("arma", time_series.arma, "a scan; roots outside the unit circle overflow"),
    Posterior("garch", time_series.garch, "the support of one parameter depends on another"),
    Posterior("ar2", time_series.ar2, "near the edge of stationarity"),
    Posterior("stochastic_volatility", time_series.stochastic_volatility, "300 innovations through a scan"),
    Posterior("volatility_walk", time_series.volatility_walk, "300 steps of a walk in one site, centred"),
    Posterior("trend", time_series.trend, "238 innovations, three scales hard to tell apart"),
    Posterior("hmm_gaussian", hidden_markov.gaussian, "simplexes and ordered means through a sum over paths"),
    Posterior("hmm_drives", hidden_markov.drives, "overlapping states through a sum over 400 steps"),
    Posterior("gp_marginal", processes.marginal, "a Cholesky factor of 60 x 60 each density"),
    Posterior("gp_latent", processes.latent, "60 latent values through a Cholesky factor"),
    Posterior("schools_centred", hierarchies.schools_centred, "a funnel, and a heavy tail of its scale"),
    Posterior("schools_noncentred", hierarchies.schools_noncentred, "a heavy tail of a scale"),
    Posterior("radon_centred", hierarchies.radon_centred, "correlated slopes of unequal groups, centred"),
    Posterior("radon_noncentred", hierarchies.radon_noncentred, "correlated slopes of unequal groups"),
    Posterior("groups_5", hierarchies.groups_5, "few groups: a scale with a heavy tail, and a funnel"),
    Posterior("groups_500", hierarchies.groups_500, "503 coordinates, groups of 1 to 9 rows"),
    Posterior("groups_5000", hierarchies.groups_5000, "5,003 coordinates"),
    Posterior("tumours", hierarchies.tumours, "71 rates on (0, 1), a heavy tail of their concentration"),
    Posterior("pharmacokinetics", hierarchies.pharmacokinetics, "two rates can be swapped, but for the prior"),
    Posterior("students", crossed.students, "crossed effects and 4,000 answers"),
    Posterior("raters", crossed.raters, "crossed effects that trade with the mean"),
    Posterior("item_response", crossed.item_response, "products of latents of two levels"),
    Posterior("ordered", outcomes.ordered, "ordered cutpoints"),
    Posterior("zero_inflated", outcomes.zero_inflated, "zeros of two kinds"),
    Posterior("multinomial", outcomes.multinomial, "two sets of coefficients in one site"),
    Posterior("weibull", outcomes.weibull, "an uncentred age; exponentials of exponentials at prior draws"),
    Posterior("changepoint", counts.changepoint, "a likelihood with steps in its slope"),
    Posterior("recapture", counts.recapture, "two parameters of which only the product is known"),
    Posterior("mixture", counts.mixture, "a far start puts all values into one part"),
    Posterior("horseshoe", shrinkage.horseshoe, "50 funnels with Cauchy tails"),
    Posterior("lotka_volterra", dynamics.lotka_volterra, "an equation that blows up or fits another period"),
    Posterior("funnel", geometry.funnel, "nine coordinates of one site narrow by e^9", frozenset({"x"})),
    Posterior("ill_conditioned", geometry.ill_conditioned, "sds from .01 to 10, rotated"),
    Posterior("banana", geometry.banana, "a bent ridge with a long way along it"),
    Posterior("icar", spatial.intrinsic, "an improper field with a soft constraint, beside independent effects"),
    Posterior("car", spatial.autoregression, "a centred field whose correlation is near 1"),
)


def posterior(name: str) -> Posterior:
    """The posterior of that name. Raises ValueError for names that the suite does not have."""
    for entry in POSTERIORS:
        if entry.name == name:
            return entry
    raise ValueError(f"there is no posterior {name!r}; there are {', '.join(entry.name for entry in POSTERIORS)}")
