"""Whether the model fits: statistics of data drawn from the posterior, beside those of the data that were observed.

`defaults` has the checks of any model with observed variables, a model's own are in `Model.checks`; `replicates` draws
data sets and keeps their statistics, `calibration` ranks observations among their predictions, `verdict` judges, `text`
tells. Source: Gelman, Meng and Stern 1996, Statistica Sinica 6, 733-807.
"""
