"""Findings of a run: sentences with verdicts, topic cards and two pictures, read from the run folder alone."""
