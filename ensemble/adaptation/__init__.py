"""How the ensemble tunes its kernels: pure functions of pooled statistics."""
