"""Stages tuning_rna and tuning_atac: choice of the number of topics."""
