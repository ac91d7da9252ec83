"""Depth benchmark: gradients per chain until second moments are right, on five known targets, beside rival samplers."""
