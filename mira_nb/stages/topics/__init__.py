"""Stages topics_rna and topics_atac: topic models of expression and accessibility."""
