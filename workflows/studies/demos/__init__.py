"""Demonstrations: small runs of the project's own kernels beside what is exactly known, and the pictures of them in
docs/gallery.md and docs/pseudo_marginal.md.

    python -m workflows.studies.demos.scorpio --out FOLDER            three ways through a density of four modes
    python -m workflows.studies.demos.rri_curve --out FOLDER          the curve of heart-beat intervals
    python -m workflows.studies.demos.phase_space --out FILE.png      leapfrog as first shown, and its repair
    python -m workflows.studies.demos.glmm_trace --out FOLDER         traces of pseudo-marginal HMC

`canvas` makes figures; the other files compute or draw what one of these shows.
"""
