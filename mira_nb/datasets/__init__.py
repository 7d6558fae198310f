"""The embedded data set: simulated multiome data with planted truth, and how it is written to files."""
