"""Feature selection, projections (PCA, LSI, ILR), neighbour graphs and the benchmark of representations."""
