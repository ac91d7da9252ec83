"""The command line: one file a command, thin over the Python functions.

Each module of a command has `add(commands)`, which adds its parser; `command` of what was parsed carries it out and
returns the exit status. JAX, Ray and xarray are imported only by the commands that need them, after the settings are
checked.
"""
