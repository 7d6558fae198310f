"""Regulatory potential: peak sets, LITE and NITE models, scores, in-silico deletion."""
