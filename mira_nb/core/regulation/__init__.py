"""Regulatory potential: peak sets, LITE and NITE models, scores; see :mod:`mira_nb.core.regulatory_potential`."""
