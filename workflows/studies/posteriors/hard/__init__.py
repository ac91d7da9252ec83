"""Posteriors made to be hard, whose truth is known: is a run that says "goals met" to be believed?

    python -m workflows.studies.posteriors.hard NAME ... --out FILE.jsonl       the runs, a line each
    python -m workflows.studies.posteriors.hard.table FILE.jsonl                Markdown tables of them

The posteriors are in `funnels`, `modes`, `strays` and `scales`, the table of them is `suite`.
"""
