"""Results of a run in the formats of other tools (CELLxGENE, scanpy, Seurat, Loupe, genome browsers), and figures."""
