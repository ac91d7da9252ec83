"""Heart-beat (RR) intervals through rest, exercise and recovery: two logistic steps in time, of one subject or many."""
