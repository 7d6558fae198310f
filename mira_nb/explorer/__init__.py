"""Looking at one run cell by cell: values by name, selections, comparisons; no widgets."""
