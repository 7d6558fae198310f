"""Our search for the number of topics beside the reference's own, in the same wall time."""
