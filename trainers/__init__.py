"""Command lines: each a preset, its flags and one call."""
