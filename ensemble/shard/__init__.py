"""A group of replicas in a worker: its rounds, sweeps, kernels, starts, audit."""
