"""mira_nb: one paired single-cell multiome experiment, analysed by the MIRA method, to one HTML report."""

__version__ = "0.1.0"
