"""Pages of docs/ that are made, and pages whose code is run.

    python -m workflows.studies.pages.reference            writes docs/reference/settings.md and commands.md
    python -m workflows.studies.pages.execute PAGE         runs the code of a page; --write puts in what it printed
    python -m workflows.studies.pages.terminal SVG COMMAND ...     a picture of what a command prints

tests/workflows/studies/pages holds the first to the schema and the parser, and runs the second on every tutorial.
"""
