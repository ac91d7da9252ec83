"""A shipped model as a folder: data, model, table and picture, for the tests of the registry."""

import hashlib
from pathlib import Path

DATA = "1.0\n2.0\n4.0\n"
FILES = {
    "__init__.py": """
from workflows.modelling.shipped import ShippedModel

MODEL = ShippedModel(
    description="a toy",
    build="workflows.models.toy.model:build",
    table="workflows.models.toy.table:lines",
    pictures="workflows.models.toy.pictures:pictures",
)
""",
    "model.py": """
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.modelling.datasets import read_verified
from workflows.modelling.frontends.numpyro import numpyro_model


def toy(y, scale):
    mu = numpyro.sample("mu", dist.Normal(0.0, 3.0))
    with numpyro.plate("row", 3):
        numpyro.sample("y", dist.Normal(mu, scale), obs=y)


def build(*, scale=1.0):
    y = np.array(read_verified("toy", "y.txt").decode().split(), float)
    return numpyro_model(toy, {"y": y, "scale": float(scale)}, name="toy")
""",
    "table.py": """
def lines(run):
    return [f"The toy has {run.data['observed_data']['y'].size} numbers."]
""",
    "pictures.py": """
from workflows.results.report.drawing import finished, panels


def pictures(facts):
    figure, ((axis,),) = panels(1, 1, 2.0)
    axis.plot([0, 1])
    return [finished(figure, "A line.", "The toy drawn.")]
""",
    "data/y.txt": DATA,
    "data/SHA256SUMS": f"{hashlib.sha256(DATA.encode()).hexdigest()}  y.txt\n",
}
"""By path: what the folder holds."""


def write(folder: Path) -> None:
    """Write the model's folder."""
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content.lstrip())
