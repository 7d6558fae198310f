"""Stage joint: joint representation, neighbour graph, clusters and map."""
