"""What the serving commands do after their flags are parsed."""
