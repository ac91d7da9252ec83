"""The coordinator of a run, its decisions and what it keeps."""
