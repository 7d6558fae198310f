"""Stage complexity: how many genes each cell expresses for its depth."""
