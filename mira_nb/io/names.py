"""Repair names that tools damage: text that was bytes, prefixes of the assembly, identifiers in place of symbols."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError

from .identifiers import (
    DATE,
    ENSEMBL,
    ID_COLUMNS,
    assembly_prefix,
    is_ensembl,
    plain_header,
    symbol_column,
    unquoted,
    without_assembly,
)
from .intervals import looks_like_peaks
from .messages import refusal

if TYPE_CHECKING:
    from .formats import RawModality
    from .pairing import Counted, Log

_BOTH: Final = (
    rf"^(?:(?P<id>{ENSEMBL})(?:[_|:;-]| ?\()(?P<symbol>[^()]+)\)?"
    rf"|(?P<symbol2>.+?)(?:[_|:;-]| ?\()(?P<id2>{ENSEMBL})\)?)$"
)
_NO_NAME: Final = ("", "na", "nan", "none", "<na>")
_WORD: Final = r"(?i)^(?:rna|gex|sct|gene[ _]expression)[_:.-](?=.)"


def without_bytes(raw: RawModality, log: Log) -> RawModality:
    """Undo the text form of bytes (``b'AAAC-1'``) in names and annotations of cells and features."""
    changed = []
    obs, var = raw.obs.copy(), raw.var.copy()
    for frame, what, short in ((obs, "cell names", "obs"), (var, "feature names", "var")):
        plain = unquoted(pd.Series(frame.index.astype(str), dtype=object))
        if plain is not None:
            frame.index = pd.Index(plain)
            changed.append(what)
        for name in frame.columns:
            column: Any = frame[name]
            if isinstance(column, pd.DataFrame) or pd.api.types.is_numeric_dtype(column):
                continue
            filled = column.notna()
            plain = unquoted(column[filled].astype(object).map(str))
            if plain is not None:
                values = column.astype(object)
                values[filled] = plain.to_numpy()
                frame[name] = values.astype("category") if frame is obs else values
                changed.append(f"{short}[{name!r}]")
    if not changed:
        return raw
    log.add(
        "bytes_repaired",
        source=raw.source,
        places=changed,
        example=raw.obs.index[0] if "cell names" in changed else "b...",
    )
    return replace(raw, obs=obs, var=var)


def check_orientation(rna: RawModality, atac: RawModality) -> None:
    """Refuse a matrix of features x cells, and genes or peaks in the place of cells.

    Raises
    ------
    InputError
        When the features of one modality are the cells of the other.
    """
    for raw, other in ((rna, atac), (atac, rna)):
        cells = other.obs.index
        if len(raw.var) and raw.var.index.isin(cells).mean() > 0.5 and raw.obs.index.isin(cells).mean() < 0.5:
            shown = ", ".join(repr(str(name)) for name in raw.obs.index[:3])
            raise refusal(InputError, "transposed", source=raw.source, other=other.source, shown=shown)
    if rna.var.index.equals(atac.var.index) and looks_like_peaks(atac.obs.index):
        shown = ", ".join(repr(str(name)) for name in atac.obs.index[:3])
        raise refusal(InputError, "both_transposed", rna=rna.source, atac=atac.source, shown=shown)


def tidy_features(part: Counted, role: str, log: Log) -> Counted:
    """Repair feature names: bytes, the prefix of an assembly, and (genes) identifiers where symbols are given."""
    names = pd.Series(part.var.index.astype(str), dtype=object)
    plain = unquoted(names)
    names = (names if plain is None else plain).str.strip()
    if role == "rna":
        names = _named(names, part, log)
        if len(names) and names.str.contains(_WORD).all():
            log.add("gene_word_removed", source=part.source, example=names.iloc[0])
            names = names.str.replace(_WORD, "", regex=True)
        names = _without_assembly(names, part.source, log)
    if (names.to_numpy() != part.var.index.to_numpy()).any():
        part = replace(part, var=part.var.set_axis(pd.Index(names)))
    if role != "rna":
        return part
    dates = part.var.index[part.var.index.astype(str).str.fullmatch(DATE)]
    if len(dates):
        log.add("dates_for_genes", source=part.source, n_genes=len(dates), example=dates[0])
    return _with_symbols(_split_names(part, log), log)


def _named(names: pd.Series, part: Counted, log: Log) -> pd.Series:
    """Name genes without a name by their identifiers."""
    missing = _has_no_name(names)
    if not missing.any():
        return names
    known = {plain_header(column): str(column) for column in reversed(part.var.columns)}
    column = next((known[key] for name in ID_COLUMNS if (key := plain_header(name)) in known), "")
    if column:
        identifiers = part.var[column].astype(object).map(str).str.strip().reset_index(drop=True)
        names = names.where(~missing | _has_no_name(identifiers), identifiers)
        log.add("genes_named_by_identifier", source=part.source, n_genes=int(missing.sum()), column=column,
                example=names[missing].iloc[0])  # fmt: skip
    elif (names == "").any():
        log.add("genes_without_name", source=part.source, n_genes=int((names == "").sum()))
    return names


def _split_names(part: Counted, log: Log) -> Counted:
    """Take identifier and symbol apart where every name holds both (``ENSG00000141510_TP53``)."""
    parts = pd.Series(part.var.index.astype(str)).str.extract(_BOTH)
    first = parts["id"].notna()
    identifier, symbol = parts["id"].where(first, parts["id2"]), parts["symbol"].where(first, parts["symbol2"])
    if not len(parts) or identifier.isna().any():
        return part
    log.add("identifier_and_symbol", source=part.source, example=part.var.index[0])
    var = part.var.set_axis(pd.Index(symbol.to_numpy(dtype=object)))
    return replace(part, var=var if "gene_ids" in var else var.assign(gene_ids=identifier.to_numpy(dtype=object)))


def _without_assembly(names: pd.Series, source: str, log: Log) -> pd.Series:
    found = assembly_prefix(names)
    if found.isna().any() or not len(found):
        return names
    counted = found.value_counts()
    if len(counted) > 1:
        shown = ", ".join(f"{name} {n:,}" for name, n in counted.items())
        log.add("several_gene_assemblies", source=source, n_assemblies=len(counted), shown=shown)
        return names
    log.add("gene_prefix", source=source, prefix=counted.index[0], example=names.iloc[0])
    return without_assembly(names)


def _has_no_name(names: pd.Series) -> np.ndarray:
    """Return which texts stand for a missing name."""
    return names.astype(str).str.strip().str.lower().isin(_NO_NAME).to_numpy(dtype=bool)


def _with_symbols(part: Counted, log: Log) -> Counted:
    """Name genes by their symbols where names are identifiers or numbers and a column holds symbols."""
    kind = _identifiers(part.var.index)
    if not kind:
        return part
    column = symbol_column(part.var)
    if column is None:
        return part
    symbols = part.var[column].astype(object).map(str, na_action="ignore")
    usable = symbols.notna() & ~_has_no_name(symbols)
    names = symbols.where(usable, pd.Series(part.var.index.astype(str), index=part.var.index)).astype(str)
    var = part.var.drop(columns=[column])
    if "gene_ids" not in var:
        var["gene_ids"] = part.var.index.astype(str)
    var.index = pd.Index(names.to_numpy())
    without = int((~usable).sum())
    log.add(
        "symbols_from_column",
        source=part.source,
        column=column,
        example=part.var.index[0],
        n_without=without,
        kind=kind,
    )
    return replace(part, var=var)


_DATABASES: Final = (
    r"FBgn\d+|WBGene\d+|AT[1-5MC]G\d{5}|[NX][MR]_\d+(?:\.\d+)?|ENS[A-Z]*T\d+(?:\.\d+)?|"
    r"(?:HGNC|MGI|RGD|SGD|ZFIN|Xenbase):\S+"
)


def _identifiers(names: pd.Index) -> str:
    """Return what names of genes are where they are no symbols; '' where they may be."""
    text = names.astype(str)
    if len(text) and text.str.fullmatch(r"\d+").all():
        return "numbers"
    if is_ensembl(names):
        return "Ensembl identifiers"
    return "identifiers of a database" if len(text) and text.str.fullmatch(_DATABASES).mean() > 0.9 else ""
