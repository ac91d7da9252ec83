"""Markov kernels, one module each: what a level, a replica or a pair of temperatures does in a step."""
