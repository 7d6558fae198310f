"""Stage enrichment: gene sets of the expression topics."""
