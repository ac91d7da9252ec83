"""Independent copies of a four-mode density in two dimensions."""
