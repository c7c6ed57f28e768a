"""Measurements whose numbers the documentation quotes."""
