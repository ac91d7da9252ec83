"""The commands on runs that go on elsewhere: submitted, listed, watched, stopped."""
