"""The Zarr store of a run: one writer with an atomic commit, readers that need no lock."""
