"""Pseudotime, terminal states, fate probabilities, lineage tree and streams."""
