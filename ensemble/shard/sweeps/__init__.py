"""Rounds of exact sweeps: what a sweep is composed of, its swaps along the ladder, what it counts and keeps."""
