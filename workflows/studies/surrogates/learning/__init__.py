"""Five things that a network can learn of a density, behind one interface."""
