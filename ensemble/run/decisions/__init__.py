"""The pure decisions of the coordinator: when an ensemble has settled, when a stage ends, what a round records."""
