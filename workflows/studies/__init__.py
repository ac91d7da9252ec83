"""The commands behind the figures of docs/; no product module imports them."""
