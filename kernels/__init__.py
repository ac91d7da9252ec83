"""Pure JAX building blocks: targets and their structure, kernels, tempering. No Ray, files, settings or logging.

Importing this package turns 64-bit floats on: positions and log densities are float64 everywhere.
"""

import jax

jax.config.update("jax_enable_x64", True)
