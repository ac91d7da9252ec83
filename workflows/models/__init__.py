"""The models that ship with the project: a folder each, with everything of the model.

A folder's `__init__.py` enters the model once, as `MODEL = ShippedModel(...)` (workflows.modelling.shipped), and loads
nothing else. The registry finds the folders; nobody but the studies imports from them. Beside the model there may be
its data set (`dataset.py`, the files and their SHA256SUMS in `data/`), a simulation, the table and the pictures that
reports show, and the posterior in stock distributions.
"""
