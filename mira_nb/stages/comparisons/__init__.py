"""Stage comparisons: tests between groups of cells."""
