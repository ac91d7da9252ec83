"""What kernels of trajectories with estimated forces are made of."""

from kernels.state import LevelView
from kernels.transitions.per_replica import PerReplica


class SpsaTrajectory(PerReplica):
    """A level's view, steps in a trajectory, directions in an estimate of a force (kernels.dynamics.forces)."""

    def __init__(self, view: LevelView, n_steps: int = 10, directions: int = 1) -> None:
        if n_steps < 1 or directions < 1:
            raise ValueError(f"n_steps = {n_steps} and directions = {directions} were given; both must be 1 or more")
        super().__init__(view.target.dimension)
        self.view = view
        self.n_steps = n_steps
        self.directions = directions
