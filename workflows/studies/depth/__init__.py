"""Depth benchmark: gradients per chain until second moments are right, on five known targets, beside rival samplers.

    python -m workflows.studies.depth.benchmark [TARGET ...]     the table of docs/benchmarks.md (make bench-depth)
    python -m workflows.studies.depth.references TARGET --out tests/references     reference moments, long NUTS runs

A file a target (`gaussian`, `german_credit`, `brownian`, `item_response`, `stochastic_volatility`), all in `targets`;
`ours` and `rivals` run the samplers, `bias` is the measure.
"""
