"""Settings compared on one model."""
