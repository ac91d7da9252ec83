"""Ways to state a model: a NumPyro model or plain JAX functions."""
