"""Checks that the library computes the right numbers on this machine."""
