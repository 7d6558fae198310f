"""The explorer of the report: any gene, motif, topic or column on the map, by group, along pseudotime, at its locus."""
