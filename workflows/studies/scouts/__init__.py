"""Ways to the typical set compared, on five targets.

    python -m workflows.studies.scouts.compare                   writes docs/scouts.md

`targets` are the densities, `trials` the scouts and their runs, `arrival` says when one has arrived, `page` writes.
"""
