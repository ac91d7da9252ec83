"""What trajectories are made of: integrators, forces, metrics, exact rotations."""
