"""A user's model whose names are as hostile as names can be, for the tests of the report."""

import numpy as np
import numpyro
import numpyro.distributions as dist

from maxwell import numpyro_model

NAMES = (
    "<script>alert('x')</script>",
    '"><img src="http://example.org/x.png">',
    "$\\frac{$ &amp; </pre>",
    "基因 \N{DNA DOUBLE HELIX}",
    "long " * 60,
    "two\nlines\tand `code`",
)


def normal_means(y=None):
    """Means around a common one."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 3.0))
    # It moves in fewer coordinates than its draws have.
    numpyro.sample("share", dist.Dirichlet(np.ones(3)))
    with numpyro.plate("who", len(NAMES)):
        x = numpyro.sample("x", dist.Normal(mu, 1.0))
        numpyro.sample("y", dist.Normal(x, 1.0), obs=y)


def hostile():
    """The model on six observations."""
    return numpyro_model(normal_means, {"y": np.arange(6.0)}, coords={"who": np.array(NAMES)})
