"""Where superchains begin: from the prior, a box, an approximation, or where they are told."""
