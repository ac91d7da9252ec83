"""Incomes in 2,024 areas of 51 states."""
