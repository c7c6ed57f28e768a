"""The implementations of the commands, imported once the flags are parsed."""
