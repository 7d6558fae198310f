"""Why this package is not first, by set and measure: what was measured, or that the cause is not known."""

REASONS: dict[tuple[str, str], str] = {
    ("cortex", "ari"): (
        "PCA and LSI is ahead by .077 with one clustering each, though label accuracy and cLISI are behind. The cause "
        "was not tested, and the number moves: .336 in a run of earlier code."
    ),
    ("cortex", "label_accuracy"): (
        "WNN is ahead by .007 and MOFA+ by .005, with a standard error of about .004 for each. Causes were not tested."
    ),
    ("cortex", "silhouette"): "MOFA+ is ahead by .001.",
    ("cortex", "clisi"): "WNN is ahead by .002, MOFA+ by .0004; the cause was not tested.",
    ("cortex", "nmi"): "WNN is ahead by .021, PCA and LSI by .013; the cause was not tested.",
    ("embedded", "match_atac"): (
        "KL-NMF is ahead by .009. Its model is the simulator's own, a linear mixture of programmes; the topic model "
        "mixes their logarithms. That this is the cause was not tested."
    ),
}
