"""The commands behind the figures of docs/, which no product module imports: a folder for each kind of study.

Each is run as `python -m workflows.studies.FOLDER.MODULE`; what a folder offers stands in its `__init__.py`. `watched`
runs the coordinator with a look after every round, for those that need to see a run from within.
"""
