"""Every key this package writes into a MuData, in one place."""

from __future__ import annotations

from typing import Final, Literal

RNA: Final = "rna"
ATAC: Final = "atac"
JOINT: Final = "joint"

# topic names: expression topics e1, e2, ...; accessibility topics a1, a2, ...
RNA_TOPIC_PREFIX: Final = "e"
ATAC_TOPIC_PREFIX: Final = "a"

# stage names (their order: stages/registry.py)
PREPARE: Final = "prepare"
TUNING_RNA: Final = "tuning_rna"
TUNING_ATAC: Final = "tuning_atac"
TOPICS_RNA: Final = "topics_rna"
TOPICS_ATAC: Final = "topics_atac"
JOINT_STAGE: Final = "joint"
ENRICHMENT: Final = "enrichment"
MOTIFS: Final = "motifs"
TRAJECTORY: Final = "trajectory"
REGULATION: Final = "regulation"
DRIVERS: Final = "drivers"
COMPARISONS: Final = "comparisons"

# var
MODELLED: Final = "modelled"
ENCODER: Final = "encoder"
CHROM: Final = "chrom"
START: Final = "start"
END: Final = "end"
NITE_SCORE: Final = "nite_score"
NITE_PVALUE: Final = "nite_pvalue"
NITE_FDR: Final = "nite_fdr"
NITE_SHARE: Final = "nite_share"
HIGHLY_VARIABLE: Final = "highly_variable"

# obsm
X_PCA: Final = "X_pca"
X_UMAP_PCA: Final = "X_umap_pca"
X_LSI: Final = "X_lsi"
X_UMAP_LSI: Final = "X_umap_lsi"
X_TOPICS: Final = "X_topics"
X_UMAP_TOPICS: Final = "X_umap_topics"
X_JOINT: Final = "X_joint"
JOINT_WEIGHTS: Final = "joint_weights"
X_UMAP: Final = "X_umap"
MOTIF_SCORES: Final = "motif_scores"
FATE_PROBABILITIES: Final = "fate_probabilities"
FATE_PROBABILITIES_ALTERNATIVE: Final = "fate_probabilities_alternative"

# obsp
JOINT_DISTANCES: Final = "joint_distances"
JOINT_CONNECTIVITIES: Final = "joint_connectivities"
TRANSPORT_MAP: Final = "transport_map"
DISTANCES: Final = "distances"
CONNECTIVITIES: Final = "connectivities"

# obs
LEIDEN: Final = "leiden"
CELL_LABEL: Final = "cell_label"  # names that the user gave to clusters
PSEUDOTIME: Final = "pseudotime"
LINEAGE_STATE: Final = "lineage_state"
PSEUDOTIME_ALTERNATIVE: Final = "pseudotime_alternative"
LINEAGE_STATE_ALTERNATIVE: Final = "lineage_state_alternative"
N_FRAGMENTS: Final = "n_fragments"
FRIP: Final = "frip"
NUCLEOSOME_SIGNAL: Final = "nucleosome_signal"
TSS_ENRICHMENT: Final = "tss_enrichment"
READ_DEPTH: Final = "effective_read_depth"

# varm
TOPIC_ACTIVATIONS: Final = "topic_activations"
MOTIF_HITS: Final = "motif_hits"
RP_PARAMETERS: Final = "rp_parameters"
ISD_SCORES: Final = "isd_scores"
PCS: Final = "PCs"

# uns
TUNING: Final = "tuning"
TOPIC_MODEL: Final = "topic_model"
TOPIC_FLAGS: Final = "topic_flags"  # within topic_model: flag of each topic, empty for none
ENRICHMENT_UNS: Final = "enrichment"
MOTIFS_UNS: Final = "motifs"
LINEAGE_TREE: Final = "lineage_tree"
SUBSET: Final = "subset"  # of a run with --subset: column, values, and the mask over all cells of the input
PEAK_SETS: Final = "peak_sets"
COVERAGE: Final = "coverage"  # of fragments around the start sites of modelled genes, per group of cells
GENE_MODELS: Final = "gene_models"
PRIMED_GENES: Final = "primed_genes"
# uns entries that scanpy's functions look for
PCA: Final = "pca"
HVG: Final = "hvg"
NEIGHBORS: Final = "neighbors"
UMAP: Final = "umap"

# layers
LITE_PREDICTION: Final = "lite_prediction"
NITE_PREDICTION: Final = "nite_prediction"
CHROMATIN_DIFFERENTIAL: Final = "chromatin_differential"

Source = Literal[
    "", "obs", "numeric obs", "obsm", "genes", "cells", "groups", "topics", "accessibility topics", "factors"
]
"""What a parameter names: cell annotations (all, or of numbers), obsm tables, genes, cells, groups of cells, topics,
factors; empty: nothing that the data have by name."""
