"""Kernels of the stages: forked from one process that has loaded the libraries, or started anew where it cannot be."""
