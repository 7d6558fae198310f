"""Stage prepare: quality of the cells, feature selection, standard representations."""
