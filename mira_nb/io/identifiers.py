"""What names of genes and chromosomes are: Ensembl identifiers, symbols, names with an assembly before them."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import pandas as pd

from mira_nb.chromosomes import ASSEMBLY

ENSEMBL: Final = r"ENS[A-Z]{0,6}G\d{6,}(?:\.\d+)?(?:_PAR_Y)?"
"""An Ensembl gene identifier, with or without a version."""
CALLED_PEAK: Final = r"(?P<sample>.*)_peak_?\d+[a-z]?"
"""What peak callers name a peak after: the name given to them, mostly a sample or a factor."""
SYMBOL_COLUMNS: Final = (
    "genesymbols", "genesymbol", "symbol", "symbols", "featurename", "genename", "genenames", "geneshortname",
    "hgncsymbol", "mgisymbol", "externalgenename", "hgnc", "name", "gene", "genes", "feature", "features",
)  # fmt: skip
"""Names of columns of symbols, without capitals and separators."""
_DESCRIPTIONS: Final = 0.5
"""Fraction of values of several words from which a column holds descriptions."""
_LITERAL: Final = r"^b(['\"])(.*)\1$"
_MONTHS: Final = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
DATE: Final = rf"(?i)\d{{1,2}}-(?:{_MONTHS})|(?:{_MONTHS})-\d{{1,2}}|\d{{4}}-\d\d-\d\d(?: 00:00:00)?"
"""What spreadsheets make of symbols such as MARCH1 and SEPT2."""
ID_COLUMNS: Final = ("gene_ids", "gene_id", "ensembl_id", "ensembl", "ensembl_gene_id", "feature_id", "id")


def assembly_prefix(names: pd.Series) -> pd.Series:
    """Return the assembly before every name (``GRCh38`` in ``GRCh38_TP53``); missing where there is none."""
    return names.str.extract(ASSEMBLY, expand=False)


def without_assembly(names: pd.Series) -> pd.Series:
    """Return names without the assembly before them."""
    return names.str.replace(ASSEMBLY, "", regex=True)


def unquoted(values: pd.Series) -> pd.Series | None:
    """Return what stands between the quotes when every value is the text of bytes (``b'chr1'``), else None."""
    if not len(values) or not str(values.iloc[0]).startswith("b"):
        return None
    parts = values.str.extract(_LITERAL)
    return None if parts[1].isna().any() else parts[1]


def plain_header(name: object) -> str:
    """Return the name of a column as it is compared: letters and digits alone, in lower case.

    R writes ``Gene start (bp)`` as ``Gene.start..bp.``.
    """
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def is_ensembl(names: Any) -> bool:
    """Return whether nearly all names are Ensembl gene identifiers."""
    text = pd.Series(np.asarray(names, dtype=object)).astype(str)
    return bool(len(text)) and float(text.str.fullmatch(ENSEMBL).mean()) > 0.9


def without_version(name: str) -> str:
    """Return an Ensembl identifier without its version; other names as they are."""
    return re.sub(r"\.\d+$", "", name) if re.fullmatch(ENSEMBL, name) else name


def symbol_column(var: pd.DataFrame) -> str | None:
    """Return the column that holds gene symbols, None without one."""
    lower = {plain_header(name): str(name) for name in reversed(var.columns)}
    for name in SYMBOL_COLUMNS:
        if name in lower:
            values = var[lower[name]]
            if pd.api.types.is_numeric_dtype(values) or is_ensembl(values.dropna()) or values.nunique() < 2:
                continue
            if values.dropna().astype(str).str.contains(r"\S\s+\S").mean() < _DESCRIPTIONS:
                return lower[name]
    return None


_SPECIES: Final = {"ENSG": "human", "ENSMUSG": "mouse", "ENSRNOG": "rat", "ENSDARG": "zebrafish", "ENSMMUG": "macaque"}
_ENOUGH: Final = 20


def likely_species(names: Any) -> str:
    """Return the species that gene names look like, '' where that cannot be told.

    Ensembl identifiers name it. Symbols of human genes are in upper case, those of mouse and rat begin with a capital.
    """
    text = pd.Series(np.unique(np.asarray(names, dtype=object).astype(str)))
    prefix = text.str.extract(r"^(ENS[A-Z]*G)\d{6,}", expand=False).dropna()
    if len(prefix) > 0.5 * len(text) and prefix.nunique() == 1:
        return _SPECIES.get(prefix.iloc[0], "")
    symbols = text[text.str.fullmatch(r"[A-Za-z]{3,}[0-9]*")]
    if len(symbols) < _ENOUGH:
        return ""
    if symbols.str.fullmatch(r"[A-Z]+[0-9]*").mean() > 0.8:
        return "human"
    return "mouse or rat" if symbols.str.fullmatch(r"[A-Z][a-z]+[0-9]*").mean() > 0.8 else ""
