"""Models, settings, pipeline and command line: `from workflows import run, resume, open_run`."""

import importlib
from typing import Any

_HOMES = {
    "run": "workflows.sampling.pipeline",
    "resume": "workflows.sampling.pipeline",
    "open_run": "workflows.sampling.pipeline",
    "numpyro_model": "workflows.modelling.frontends.numpyro",
    "function_model": "workflows.modelling.frontends.function",
    "black_box_model": "workflows.modelling.frontends.black_box",
    "pseudo_marginal_model": "workflows.modelling.frontends.pseudo_marginal",
}

__all__ = ["black_box_model", "function_model", "numpyro_model", "open_run", "pseudo_marginal_model", "resume", "run"]


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer before JAX is loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
