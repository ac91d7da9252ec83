"""Posteriors held against independent ones; the summaries lie in tests/references.

    python -m workflows.studies.references.nuts NAME --out FILE.npz --work FOLDER       long NUTS runs
    python -m workflows.studies.references.importance NAME --out FILE.npz               importance sampling
    python -m workflows.studies.references.agreement STORE FILE.npz                     does a run agree?

NAME is a configuration whose model has its posterior in stock distributions (workflows.modelling.stock).
"""
