"""Sample posteriors from Python: `import maxwell; run = maxwell.sample(model, data); arviz.summary(run.data)`.

sample, resume, open_run, run     runs: of a model, gone on with, opened, of a config file
submit                            a run of a config file, on a cluster
verify                            whether a store is as it was written, and repaired where it is not
pack, unpack                      a store put into one file, which open_run takes too, and made a folder again
numpyro_model, function_model, black_box_model, pseudo_marginal_model     models of NumPyro, JAX and NumPy functions
pymc_model, bambi_model           models of PyMC and Bambi objects, where these are installed
models                            those that come with the program: models() lists them, models.genes(...) builds one
Run, Model, Interrupted, MaxwellError     what comes back, and what is raised

Importing this module is quick: JAX is imported by the first call. JAX is asked for one CPU thread a process
(PJRT_NPROC), unless the environment says otherwise, for the law that draws are the same wherever they are made.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ensemble.errors import MaxwellError
    from ensemble.store.opening import pack, unpack
    from workflows.clusters.submit import submit
    from workflows.modelling.frontends.black_box import black_box_model
    from workflows.modelling.frontends.function import function_model
    from workflows.modelling.frontends.numpyro import numpyro_model
    from workflows.modelling.frontends.pseudo_marginal import pseudo_marginal_model
    from workflows.modelling.frontends.pymc.entry import bambi_model, pymc_model
    from workflows.modelling.model import Model
    from workflows.modelling.shelf import models
    from workflows.results.run import Run
    from workflows.results.verification import verify
    from workflows.sampling.interrupt import Interrupted
    from workflows.sampling.session import open_run, resume, run, sample

# JAX reads it once, when it first computes.
os.environ.setdefault("PJRT_NPROC", "1")

_HOMES = {
    "Interrupted": "workflows.sampling.interrupt:Interrupted",
    "MaxwellError": "ensemble.errors:MaxwellError",
    "Model": "workflows.modelling.model:Model",
    "Run": "workflows.results.run:Run",
    "bambi_model": "workflows.modelling.frontends.pymc.entry:bambi_model",
    "black_box_model": "workflows.modelling.frontends.black_box:black_box_model",
    "function_model": "workflows.modelling.frontends.function:function_model",
    "models": "workflows.modelling.shelf:models",
    "numpyro_model": "workflows.modelling.frontends.numpyro:numpyro_model",
    "open_run": "workflows.sampling.session:open_run",
    "pack": "ensemble.store.opening:pack",
    "pseudo_marginal_model": "workflows.modelling.frontends.pseudo_marginal:pseudo_marginal_model",
    "pymc_model": "workflows.modelling.frontends.pymc.entry:pymc_model",
    "resume": "workflows.sampling.session:resume",
    "run": "workflows.sampling.session:run",
    "sample": "workflows.sampling.session:sample",
    "submit": "workflows.clusters.submit:submit",
    "unpack": "ensemble.store.opening:unpack",
    "verify": "workflows.results.verification:verify",
}

__all__ = [
    "Interrupted",
    "MaxwellError",
    "Model",
    "Run",
    "bambi_model",
    "black_box_model",
    "function_model",
    "models",
    "numpyro_model",
    "open_run",
    "pack",
    "pseudo_marginal_model",
    "pymc_model",
    "resume",
    "run",
    "sample",
    "submit",
    "unpack",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'maxwell' has no attribute {name!r}; it offers {', '.join(__all__)}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
