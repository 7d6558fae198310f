"""Stage trajectory: pseudotime, terminal states, fate probabilities, lineage tree."""
