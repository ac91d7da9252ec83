"""How long kernels take."""
