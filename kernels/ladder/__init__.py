"""The mathematics of a ladder of temperatures: swaps, schedules, round trips, evidence."""
