"""The settings of a run: schema, sources, and errors that tell everything at once."""
