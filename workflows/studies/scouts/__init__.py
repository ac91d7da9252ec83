"""Ways to the typical set compared: the commands behind docs/scouts.md."""
