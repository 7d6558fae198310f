"""Why this package is not first, by set and measure: what was measured, or that the cause is not known."""

REASONS: dict[tuple[str, str], str] = {
    ("embedded", "branch_error"): (
        "not to be told from the first: the difference is .003, the standard error over three seeds .014. Both come from "
        "the same ramp, and its bias (docs/decisions/22-branch-time.md) is larger than what the representations change."
    ),
    ("embedded", "match_atac"): (
        "KL-NMF is ahead by .009. Its model is the simulator's own, a linear mixture of programmes; the topic model mixes "
        "their logarithms. That this is the cause was not tested. The joint space made from these topics is the better "
        "one by every other measure."
    ),
}
