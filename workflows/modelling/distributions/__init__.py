"""Distributions of NumPyro that several shipped models have, evaluated by kernels.numerics.special."""
