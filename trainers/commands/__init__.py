"""The commands' work, imported once the flags are parsed."""
