"""Stage drivers: in-silico deletion and driver factors."""
