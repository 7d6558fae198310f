"""Comparison of finished runs: run folders in, tables and one page out."""
