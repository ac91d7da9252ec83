"""A stored run as people see it: numbers, tables, a report, predictions."""
