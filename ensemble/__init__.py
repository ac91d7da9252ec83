"""The ensemble: shards of replicas, the fleets that carry them, the coordinator, the store and resume."""
