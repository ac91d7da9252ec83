"""The models that ship with the project, by name."""
