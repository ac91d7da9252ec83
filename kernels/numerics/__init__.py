"""Numbers on the CPU: special functions that vectorise, and how replicas are batched."""
