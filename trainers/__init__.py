"""The commands: `NAME.py` defines the flags of one, and `commands/NAME.py` implements it."""
