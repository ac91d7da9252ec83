"""Runs on other machines: submitted as jobs of SLURM, Kubernetes or a Ray cluster, watched and stopped through their
stores, which are all that a job and its user share."""
