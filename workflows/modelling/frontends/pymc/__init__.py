"""The PyMC front end, an optional extra: `maxwell.pymc_model` and `maxwell.bambi_model`.

entry imports nothing of PyMC; all else does, and is imported by the first model that is given.
"""
