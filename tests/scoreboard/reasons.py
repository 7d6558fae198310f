"""Why this package is not first, by set and measure: what was measured, or that the cause is not known."""

REASONS: dict[tuple[str, str], str] = {}
