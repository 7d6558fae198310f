"""Compiled kernels of the topic models: likelihoods, embedding layer and its optimiser step."""
