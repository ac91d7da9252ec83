"""Demonstrations: small runs of the project's own kernels beside what is exactly known, and the pictures of them."""
