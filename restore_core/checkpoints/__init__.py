"""Weights: what exists (catalogue), where it lies (files), how it comes here (download), how a file is read without
running it (reading), and which network it belongs to (match)."""
