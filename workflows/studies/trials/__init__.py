"""Settings compared on one model, each a command that prints a row a setting: for docs/benchmarks.md and
docs/pseudo_marginal.md.

    python -m workflows.studies.trials.ladder                    temperatures that a Gaussian needs
    python -m workflows.studies.trials.tempering                 tempering in `equilibrate` on the airway model
    python -m workflows.studies.trials.glmm --work FOLDER        kernels of the mixed model
"""
