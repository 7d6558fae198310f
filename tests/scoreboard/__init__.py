"""Scores of this package, the reference implementation and other methods on the same data, side by side."""
