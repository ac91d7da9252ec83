"""From settings to a finished run: problem, fleet, store, coordinator."""
