"""The kernels that a level can have: one module each, and the registry, their only list."""
