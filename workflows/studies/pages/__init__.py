"""Pages of docs/ that are made, and pages whose code is run.

    python -m workflows.studies.pages.reference            writes docs/reference/settings.md and commands.md
    python -m workflows.studies.pages.execute PAGE ...     runs the code of pages, --write puts in what it printed

tests/workflows/studies/pages holds the first to the schema and the parser, and runs the second on every tutorial.
"""
