"""How draws lie in chunks, and chunks in files: few files, however long a run gets."""
