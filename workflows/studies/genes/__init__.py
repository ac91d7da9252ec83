"""Studies of the model genes on counts whose truth is known: `simulate` makes them."""
