"""Models as their users write them in NumPyro, with data simulated from fixed seeds: a file a kind.

Each function without arguments returns (model function, its data as keyword arguments). The suite enters them once.
"""
