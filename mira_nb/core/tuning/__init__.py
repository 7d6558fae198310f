"""Choice of the number of topics: search over models by held-out likelihood, and stability of the chosen one."""
