"""Drinks per drinking day of 26,946 people."""
