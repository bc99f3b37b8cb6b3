"""Benchmarks and simulations anyone can run: ``python -m tests.bench NAME``; none of them is a timed test."""
