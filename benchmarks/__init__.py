"""Measurements, each a command: python -m benchmarks.NAME. Ratios from one run; machines are noisy."""
