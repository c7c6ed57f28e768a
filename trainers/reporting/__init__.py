"""The HTML report on trained runs."""
