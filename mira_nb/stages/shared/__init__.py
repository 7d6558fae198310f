"""What several stages use: cell annotations, streams along the tree, workbooks."""
