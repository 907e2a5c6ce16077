"""Weights: what exists (catalogue), where it lies (files), whose it is (match)."""
