"""Benchmarks against other implementations; `docs/benchmarks.md` reports the results."""
