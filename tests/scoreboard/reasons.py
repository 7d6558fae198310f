"""Why this package is not first, by set and measure: what was measured, or that the cause is not known."""

REASONS: dict[tuple[str, str], str] = {
    ("cortex", "ari"): (
        "PCA and LSI is ahead by .077 with one clustering each, though label accuracy, cLISI and silhouette are "
        "behind. The cause was not tested, and the number moves: .336 in a run of earlier code."
    ),
    ("cortex", "label_accuracy"): (
        "MOFA+ is ahead by .005, with a standard error of about .004 for each; the cause was not tested."
    ),
    ("cortex", "silhouette"): "MOFA+ is ahead by .001.",
    ("cortex", "clisi"): "MOFA+ is ahead by .0004, the last digit that is printed.",
    ("cortex", "nmi"): "PCA and LSI is ahead by .013, as for ARI.",
    ("embedded", "ari"): (
        "MOFA+ is ahead by .043 with one clustering each; the standard error of the difference (three seeds) is .036."
    ),
    ("embedded", "nmi"): "MOFA+ is ahead by .015, the standard error of the difference over three seeds is .021.",
    ("embedded", "branch_error"): (
        "not to be told from the first: the difference is .003, the standard error over three seeds .014. Both come "
        "from the same ramp, fitted to the fates of either graph."
    ),
    ("embedded", "match_atac"): (
        "KL-NMF is ahead by .009. Its model is the simulator's own, a linear mixture of programmes; the topic model "
        "mixes their logarithms. That this is the cause was not tested."
    ),
}
