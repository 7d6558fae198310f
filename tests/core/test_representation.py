from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from mira_nb.core.representation import projections
from mira_nb.core.representation.projections import clr, ilr, ilr_basis, joint_representation, lsi, pca
from mira_nb.errors import InputError


@pytest.mark.parametrize("n_topics", [2, 3, 5, 17])
def test_basis_is_orthonormal_and_orthogonal_to_ones(n_topics):
    basis = ilr_basis(n_topics)
    np.testing.assert_allclose(basis.T @ basis, np.eye(n_topics - 1), atol=1e-12)
    np.testing.assert_allclose(basis.sum(axis=0), 0, atol=1e-12)


def test_basis_of_three_as_printed():
    expected = [[np.sqrt(1 / 2), np.sqrt(2 / 3) / 2], [-np.sqrt(1 / 2), np.sqrt(2 / 3) / 2], [0, -np.sqrt(2 / 3)]]
    np.testing.assert_allclose(ilr_basis(3), expected)


def test_two_topics_give_the_scaled_log_ratio():
    parts = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    np.testing.assert_allclose(ilr(parts)[:, 0], np.log(parts[:, 0] / parts[:, 1]) / np.sqrt(2))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_ilr_keeps_aitchison_distances_and_ignores_scale(seed, n_topics):
    parts = np.random.default_rng(seed).dirichlet(np.full(n_topics, 0.7), size=8) + 1e-6
    parts /= parts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pdist(ilr(parts)), pdist(clr(parts)), rtol=1e-9)
    np.testing.assert_allclose(ilr(parts), ilr(parts * 3.7, floor=1e-8), atol=1e-9)
    # ratios of all pairs of parts: sum of squared log ratios / 2K equals the squared norm
    log_ratio = np.log(parts[:, :, None] / parts[:, None, :])
    np.testing.assert_allclose((log_ratio**2).sum(axis=(1, 2)) / (2 * n_topics), (ilr(parts) ** 2).sum(axis=1))


def test_zero_parts_are_floored_not_infinite():
    assert np.isfinite(ilr(np.array([[0.0, 0.4, 0.6]]))).all()


def test_joint_concatenates_both_modalities():
    rng = np.random.default_rng(0)
    rna, atac = rng.dirichlet(np.ones(5), 9), rng.dirichlet(np.ones(3), 9)
    joint = joint_representation(rna, atac)
    assert joint.shape == (9, 5 + 3 - 2)
    np.testing.assert_allclose(joint[:, :4], ilr(rna))
    np.testing.assert_allclose(joint[:, 4:], ilr(atac))
    weighted = joint_representation(rna, atac, weights=(1.0, 0.25))
    np.testing.assert_allclose(weighted[:, :4], joint[:, :4])
    np.testing.assert_allclose(weighted[:, 4:], 0.25 * joint[:, 4:])
    with pytest.raises(InputError, match="same cells"):
        joint_representation(rna, atac[:4])
    with pytest.raises(InputError, match="two topics"):
        ilr(rna[:, :1])


@pytest.mark.parametrize("shape", [(400, 150), (60, 40), (12, 200)])
def test_pca_equals_dense_pca_of_standardised_columns(shape):
    rng = np.random.default_rng(3)
    dense = rng.poisson(np.exp(rng.normal(size=(shape[0], 3)) @ rng.normal(size=(3, shape[1])) * 0.5))
    dense[:, 0] = 2  # constant: carries nothing, must not break
    result = pca(sparse.csr_matrix(dense), n_components=5)
    varying = dense[:, dense.std(axis=0) > 0].astype(float)
    standard = (varying - varying.mean(axis=0)) / varying.std(axis=0, ddof=1)
    expected = PCA(5, svd_solver="full").fit(standard)
    np.testing.assert_allclose(result.explained, expected.explained_variance_ratio_, rtol=1e-6)
    np.testing.assert_allclose(np.abs(result.coordinates), np.abs(expected.transform(standard)), atol=2e-3)
    np.testing.assert_allclose(result.variance, expected.explained_variance_, rtol=1e-6)
    whole = np.zeros(dense.shape)
    whole[:, dense.std(axis=0) > 0] = standard
    np.testing.assert_allclose(whole @ result.loadings, result.coordinates, atol=2e-3)
    np.testing.assert_array_equal(result.coordinates, pca(sparse.csr_matrix(dense), n_components=5).coordinates)


def test_fewer_genes_than_components():
    result = pca(sparse.csr_matrix(np.random.default_rng(0).poisson(1, size=(30, 4))), n_components=50)
    assert result.coordinates.shape == (30, 3)


def test_lsi_equals_exact_svd_of_tfidf():
    rng = np.random.default_rng(4)
    group = rng.integers(0, 3, 200)
    binary = (rng.random((200, 300)) < np.where(np.arange(300)[None] % 3 == group[:, None], 0.4, 0.05)).astype(float)
    result = lsi(sparse.csr_matrix(binary), n_components=3)
    weights = TfidfTransformer().fit_transform(binary).toarray()
    u, s, _ = np.linalg.svd(weights, full_matrices=False)
    np.testing.assert_allclose(np.abs(result.coordinates), np.abs(u[:, :3] * s[:3]), atol=1e-4)
    again = lsi(sparse.csr_matrix(binary), n_components=3)
    np.testing.assert_array_equal(result.coordinates, again.coordinates)


@pytest.mark.parametrize("shape", [(120, 400), (400, 120)])
def test_lsi_in_blocks_and_strips_equals_scikit_learn(monkeypatch, shape):
    binary = sparse.random(*shape, density=0.1, format="csr", random_state=1, data_rvs=np.ones)
    binary.data[::7] = 0  # stored zeros are closed peaks
    binary = sparse.vstack([binary, sparse.csr_matrix((1, shape[1]))]).tocsr()  # a cell without any
    monkeypatch.setattr(projections, "_BLOCK", 500)
    monkeypatch.setattr(projections, "_STRIP", 3)
    result = lsi(binary, n_components=7, seed=3)
    dense = TfidfTransformer().fit_transform(binary.toarray()).toarray()
    weights = sparse.csr_matrix(dense, dtype=np.float32)
    np.testing.assert_allclose(projections._tf_idf(binary).toarray(), dense, rtol=1e-5)
    expected = TruncatedSVD(7, random_state=3).fit_transform(weights)
    np.testing.assert_allclose(np.abs(result.coordinates), np.abs(expected), atol=1e-4)
