"""The factor structure of a target, found by probing: levels, blocks, owners, cells."""
