"""What travels between the coordinator and the shards."""
