"""What a model says of its own posterior at the end of a run: tables for people.

A model's table is in its own folder and named in its entry (workflows.modelling.shipped); `own` finds it, `draws` has
what such tables are made with.
"""
