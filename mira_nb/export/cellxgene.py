"""An .h5ad by the schema of CZ CELLxGENE Discover: Ensembl ids, raw and normalised counts, ontology terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.counts import log_expression
from mira_nb.errors import ParameterError
from mira_nb.io.identifiers import ENSEMBL, ID_COLUMNS, without_version
from mira_nb.keys import NITE_FDR, NITE_PVALUE, NITE_SCORE, NITE_SHARE

from .messages import message, refusal
from .terms import read_terms
from .values import RunValues, is_label, labels, new_name, said
from .whole import write_h5ad

OBS_TERMS: Final = {
    "assay_ontology_term_id": "EFO term, e.g. EFO:0030059 (10x multiome)",
    "cell_type_ontology_term_id": "CL term per cell, or 'unknown'",
    "development_stage_ontology_term_id": "HsapDv or MmusDv term, or 'unknown'",
    "disease_ontology_term_id": "MONDO term, or PATO:0000461 (normal)",
    "donor_id": "name of the donor",
    "is_primary_data": "true or false",
    "self_reported_ethnicity_ontology_term_id": "HANCESTRO term or 'unknown' (human), else 'na'",
    "sex_ontology_term_id": "PATO:0000383 (female), PATO:0000384 (male) or 'unknown'",
    "suspension_type": "cell or nucleus",
    "tissue_ontology_term_id": "UBERON term",
    "tissue_type": "tissue, organoid, primary cell culture or cell line",
}
"""Required columns of obs, with what they hold."""
UNS_TERMS: Final = {
    "organism_ontology_term_id": "NCBITaxon:9606 (human) or NCBITaxon:10090 (mouse)",
    "title": "title of the data set",
}
"""Required entries of uns, with what they hold."""
OTHER_TERMS: Final = ("batch_condition",)
_RESERVED: Final = frozenset(
    {"assay", "cell_type", "development_stage", "disease", "self_reported_ethnicity", "sex", "tissue", "organism",
     "organism_ontology_term_id", "observation_joinid", "ethnicity", "ethnicity_ontology_term_id",
     "experimental_condition", "perturbation_types"}
)  # fmt: skip
_NOTED: Final = 5


def write_cellxgene(values: RunValues, out: Path, *, terms: Path | None = None) -> list[str]:
    """Write cellxgene.h5ad, and missing.txt with what the schema still asks for.

    X holds log(1 + counts per 10,000), raw.X the counts; genes are named by Ensembl ids; the user's columns whose names
    the schema reserves become ``author_NAME``.

    Parameters
    ----------
    terms
        YAML: every required key with one value for all cells, the name of a column (``{column: donor}``), or a column
        with a value per label (``{column: cell_type, values: {B: CL:0000236}}``).

    Raises
    ------
    ParameterError
        For a file of another form, an unknown key or column, or a label without a term.
    """
    from anndata import AnnData

    given = read_terms(terms, per_cell=OBS_TERMS, single=UNS_TERMS, lists=OTHER_TERMS)
    missing = [f"{name}: {what}" for name, what in {**UNS_TERMS, **OBS_TERMS}.items() if name not in given]
    ids = _ensembl(values)
    keep = np.flatnonzero(ids.notna() & ~ids.duplicated())
    if len(keep) < len(ids):
        lost = [str(name) for name in values.rna.var_names[np.setdiff1d(np.arange(len(ids)), keep)[:_NOTED]]]
        missing.append(message("ids_missing", n_lost=len(ids) - len(keep), n_genes=len(ids), lost=lost))
    counts = sparse.csr_matrix(values.rna.X, dtype=np.float32)[:, keep]
    obs, notes = _annotations(values)
    for name in OBS_TERMS:
        if name in given:
            obs[name] = _per_cell(name, given[name], values)
    var = pd.DataFrame(index=pd.Index(ids.iloc[keep].to_numpy(), name=None))
    embeddings = _embeddings(values)
    if not embeddings:
        missing.append(message("no_embedding"))
    if len(keep):
        uns = {name: str(given[name]) for name in UNS_TERMS if name in given}
        table = values.genes.iloc[keep].set_axis(var.index)
        scores = table[[name for name in (NITE_SCORE, NITE_PVALUE, NITE_FDR, NITE_SHARE) if name in table]]
        expression = log_expression(counts, np.asarray(counts.sum(axis=1)).ravel()).astype(np.float32)
        found = AnnData(expression, obs=obs, var=scores.assign(feature_is_filtered=False), obsm=embeddings)
        found.raw = AnnData(counts, obs=obs[[]], var=var)
        found.uns.update(uns | {name: given[name] for name in OTHER_TERMS if name in given})
        if "X_umap" in embeddings:
            found.uns["default_embedding"] = "X_umap"
        write_h5ad(found, out / "cellxgene.h5ad", compression="gzip")
    text = "".join(f"{item}\n" for item in missing)
    (out / "missing.txt").write_text(text or "nothing\n", encoding="utf-8")
    return [*notes, *(f"the schema asks for {item}" for item in missing)]


def _per_cell(name: str, value: Any, values: RunValues) -> Any:
    """Return the term of every cell."""
    if not isinstance(value, Mapping):
        return _as_column(name, pd.Series([value] * values.data.n_obs, index=values.data.obs_names))
    column = str(value["column"])
    if column not in values.data.obs:
        raise refusal(ParameterError, "column_unknown", name=name, column=column)
    found = labels(values.data.obs[column])
    if "values" not in value:
        return _as_column(name, found)
    terms = {str(label): term for label, term in dict(value["values"]).items()}
    lacking = sorted(set(found.dropna()) - set(terms))
    if lacking or found.isna().any():
        raise refusal(
            ParameterError,
            "term_missing",
            column=column,
            name=name,
            lacking=lacking[:_NOTED],
            n_cells=int(found.isna().sum()),
        )
    return _as_column(name, found.map(terms))


def _as_column(name: str, column: pd.Series) -> Any:
    if column.isna().any():
        raise refusal(ParameterError, "cells_without_value", name=name, n_cells=int(column.isna().sum()))
    text = column.map(str)
    if name != "is_primary_data":
        return pd.Categorical(text)
    plain = text.str.strip().str.lower()
    if not plain.isin(["true", "false"]).all():
        raise refusal(
            ParameterError, "not_true_or_false", name=name, value=text[~plain.isin(["true", "false"])].iloc[0]
        )
    return (plain == "true").to_numpy()


def _annotations(values: RunValues) -> tuple[pd.DataFrame, list[str]]:
    """Return the cell table with names that the schema leaves free, labels as categories, and what is said of it.

    A name that another column has already gets a number.
    """
    out = pd.DataFrame(index=values.data.obs_names.astype(str))
    cells, renamed = values.cells()
    taken = {str(name) for name in cells.columns if _target(str(name)) == name} | {*OBS_TERMS}
    empty = []
    for name in map(str, cells.columns):
        column = cells[name]
        if column.isna().all():
            empty.append(name)
            continue
        target = _target(name)
        if target != name:
            target = new_name(target, taken)
            taken.add(target)
            if target != f"author_{name}":
                renamed[name] = target
        if is_label(column):
            out[target] = pd.Categorical(labels(column))
        else:
            out[target] = column.to_numpy(np.float64, na_value=np.nan) if column.hasnans else column.to_numpy()
    return out, said(renamed) + ([message("columns_empty", names=empty)] if empty else [])


def _target(name: str) -> str:
    """Return a name that the schema leaves free."""
    target = f"author_{name}" if name in _RESERVED or name in OBS_TERMS else name
    return target.lstrip("_") or "unnamed"


def _embeddings(values: RunValues) -> dict[str, np.ndarray]:
    """Return the embeddings of the joint space and of both modalities that hold numbers."""
    out: dict[str, np.ndarray] = {}
    for prefix, part in (("", values.data), ("_rna", values.rna), ("_atac", values.atac)):
        for name, found in part.obsm.items():
            array = np.asarray(found) if not isinstance(found, pd.DataFrame) else None
            if array is None or not str(name).startswith("X_") or array.ndim != 2 or array.shape[1] < 2:
                continue
            if str(name) == "X_umap" and prefix:  # the joint map, kept once
                continue
            out[f"{name}{prefix}"] = array.astype(np.float32)
    return out


def _ensembl(values: RunValues) -> pd.Series:
    """Return the Ensembl id of every gene without its version; missing where there is none."""
    var = values.rna.var
    lower = {str(name).lower(): name for name in var.columns}
    columns = [pd.Series(var.index.astype(str))]
    columns += [labels(var[lower[name]]).reset_index(drop=True) for name in ID_COLUMNS if name in lower]
    valid = [column.where(column.str.fullmatch(ENSEMBL).fillna(False).astype(bool)) for column in columns]
    best = max(valid, key=lambda column: int(column.notna().sum()))
    return best.map(without_version, na_action="ignore")
