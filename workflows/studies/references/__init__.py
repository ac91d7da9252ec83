"""Posteriors held against independent ones: long NUTS runs and importance sampling."""
