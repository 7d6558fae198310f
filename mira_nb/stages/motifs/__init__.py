"""Stage motifs: motif hits, motif scores and motif enrichment of the accessibility topics."""
