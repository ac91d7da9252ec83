"""Whether what was committed is still there as it was written, and how far back it is where it is not."""
