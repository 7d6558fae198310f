"""Quality of the cells: measures from ATAC fragments, thresholds of depth."""
