"""A mixed model of binary responses whose random effects come from a mixture, for pseudo-marginal kernels."""
