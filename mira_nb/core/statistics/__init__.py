"""Rank tests, contingency tables, comparisons of groups and samples, over-representation."""
