"""Elementary functions for compiled kernels in single and double precision, and the number of threads."""
