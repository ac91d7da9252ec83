"""Kernels whose trajectories follow a network once it has learned the gradient, accepted on the true density."""
