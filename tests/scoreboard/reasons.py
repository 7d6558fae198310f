"""Why this package is not first, by set and measure: what was measured, or that the cause is not known."""

REASONS: dict[tuple[str, str], str] = {
    ("cortex", "ari"): (
        "PCA and LSI is ahead by .063 with one clustering each, though label accuracy and cLISI are behind. The cause "
        "was not tested, and the numbers move: .383 for PCA and LSI, .336 for this package in earlier computations."
    ),
    ("cortex", "label_accuracy"): (
        "WNN is ahead by .007 and MOFA+ by .005, with a standard error of about .004 for each. Causes were not tested."
    ),
    ("cortex", "silhouette"): "MOFA+ is ahead by .001.",
    ("cortex", "clisi"): "WNN is ahead by .002, MOFA+ by .0004; the cause was not tested.",
    ("cortex", "nmi"): "WNN is ahead by .021, MOFA+ by .010, PCA and LSI by .006; the cause was not tested.",
    ("cortex", "npmi_rna"): (
        "KL-NMF is ahead by .020, though its topics tell the annotated cells apart least of all (label accuracy .705): "
        "features that many cells share occur together. Whether that is the cause was not tested."
    ),
    ("cortex", "diversity_rna"): "The others have 15 topics where this package chose 20, which share more features.",
    ("embedded", "ari"): (
        "MOFA+ is ahead by .026 with a standard deviation of .057 over its seeds; runs of this package with the "
        "number of topics given and J = 50 had .685. The cause was not tested."
    ),
    ("embedded", "nmi"): "MOFA+ is ahead by .008, with a standard deviation of .034 over its seeds.",
    ("embedded", "npmi_rna"): "KL-NMF is ahead by .001.",
    ("embedded", "npmi_atac"): "KL-NMF is ahead by .001.",
}
