"""Posteriors of other people's kinds, as NumPyro models with simulated data: what comes out under default settings.

    python -m workflows.studies.posteriors.reference NAME ... --out tests/references/posteriors     long references
    python -m workflows.studies.posteriors.compare NAME ... --out FILE.jsonl      maxwell and NumPyro held against them
    python -m workflows.studies.posteriors.table FILE.jsonl                       a markdown table of that

The models are in `kinds`, the table of them is `suite`.
"""
