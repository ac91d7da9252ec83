"""Work with a posterior after the run: predictions, pointwise log likelihoods, prior draws, in the groups of ArviZ."""
