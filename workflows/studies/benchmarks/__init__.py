"""How long kernels take: the commands behind docs/benchmarks.md and docs/pseudo_marginal.md.

    python -m workflows.studies.benchmarks.kernels               a sweep beside the machine's bounds (make bench)
    python -m workflows.studies.benchmarks.nuts                  NUTS of many chains beside BlackJAX's (make bench)
    python -m workflows.studies.benchmarks.pseudo_marginal       pseudo-marginal HMC on the mixed model

`timing` takes the time of calls.
"""
