"""Partners are mutual best matches, and none is found where a topic does not vary."""

from __future__ import annotations

import numpy as np
import pytest

from mira_nb.core.topics.partners import mutual_best, partner_topics, topic_correlation


def test_partners_are_mutual_and_correlated() -> None:
    x = np.linspace(0, 1, 50)
    rna = np.column_stack([x, np.sin(40 * x), np.ones(50)])
    atac = np.column_stack([x**2, -x, np.cos(91 * x)])
    between = topic_correlation(rna, atac)
    assert between[0, 0] == pytest.approx(np.corrcoef(x, x**2)[0, 1])
    assert np.isnan(between[2]).all()
    assert partner_topics(rna, atac) == [(0, 0)]
    assert partner_topics(rna, atac, least=0.999) == []
    assert (0, 0) in mutual_best(between)
    assert all(row != 2 for row, _ in mutual_best(between))
