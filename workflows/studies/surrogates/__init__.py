"""What a network in place of the gradient is worth: densities of known moments, a costly one, and rival samplers.

python -m workflows.studies.surrogates.compare --out FILE.jsonl       runs, each a process
python -m workflows.studies.surrogates.table FILE.jsonl               a markdown table of them
python -m workflows.studies.surrogates.costly --out FILE.jsonl        a density whose gradient costs milliseconds
python -m workflows.studies.surrogates.formulations --out FILE.jsonl  five things that a network can learn
"""
