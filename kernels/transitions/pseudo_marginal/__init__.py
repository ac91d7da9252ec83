"""Targets whose likelihood is only estimated, and the kernels that move theta and u."""
