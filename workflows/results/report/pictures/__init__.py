"""Pictures of a model's own: they are in the model's folder and named in its entry (workflows.modelling.shipped).

`own` finds them, `intervals` has what several of them are drawn with; `python -m workflows.results.report.pictures
STORE FOLDER` saves those of a run.
"""
