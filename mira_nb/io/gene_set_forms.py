"""Other forms in which gene sets are given, as lines of a GMT file: MSigDB's JSON, GMX, tables of term and gene."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any, Final

_TERMS: Final = {
    "term", "gs_name", "set", "gene_set", "geneset", "pathway", "name", "signature", "group", "cluster", "source",
    "ont", "module",
}  # fmt: skip
_GENES: Final = {"gene", "genes", "gene_symbol", "symbol", "symbols", "target", "gene_name", "feature", "genesymbol"}
_MEMBERS: Final = ("geneSymbols", "genes", "symbols", "members")


def as_gmt(lines: list[str]) -> tuple[list[str], str]:
    """Return the lines of a GMT file, and in words what they were made from ('' when they were one).

    Recognised are JSON of sets (of MSigDB, or name -> genes), GMX (one set per column), tables with one row per term
    and gene under a header, and sets whose fields are separated by commas.
    """
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        return _from_json(lines)
    filled = [line for line in lines if line.strip() and not line.startswith("#")]
    if len(filled) > 1 and _is_descriptions(filled[1].split("\t")):
        columns = list(zip_longest(*(line.split("\t") for line in filled), fillvalue=""))
        return ["\t".join(column) for column in columns], "it has one gene set per column (GMX)"
    separator = next((mark for mark in "\t;," if filled and mark in filled[0]), "")
    if not separator:
        return lines, ""
    header = [name.strip().strip('"').lower() for name in filled[0].split(separator)]
    term = next((number for number, name in enumerate(header) if name in _TERMS), None)
    gene = next((number for number, name in enumerate(header) if name in _GENES and number != term), None)
    if term is not None and gene is not None and len(filled) > 1 and filled[1].count(separator) == len(header) - 1:
        return _from_rows([line.split(separator) for line in filled[1:]], term, gene)
    if separator == "," and len(filled) > 1 and all(line.count(",") > 1 for line in filled):
        return [line.replace(",", "\t") for line in filled], "its fields are separated by commas"
    return lines, ""


def _is_descriptions(fields: list[str]) -> bool:
    """Return whether a line holds nothing but descriptions: the second line of a GMX file."""
    texts = [field.strip().strip('"').lower() for field in fields]
    return len(texts) > 1 and all(
        text in {"na", "n/a", ""} or text.startswith(("http://", "https://")) for text in texts
    )


def _from_json(lines: list[str]) -> tuple[list[str], str]:
    try:
        found: Any = json.loads("\n".join(lines))
    except ValueError:
        return lines, ""
    out = []
    for name, value in found.items():
        members = value
        if isinstance(value, dict):
            members = next((value[key] for key in _MEMBERS if isinstance(value.get(key), list)), None)
        if isinstance(members, list):
            out.append("\t".join([str(name), "", *map(str, members)]))
    return (out, "it is JSON") if out else (lines, "")


def _from_rows(rows: list[list[str]], term: int, gene: int) -> tuple[list[str], str]:
    sets: dict[str, list[str]] = {}
    for row in rows:
        if len(row) > max(term, gene):
            sets.setdefault(row[term].strip().strip('"'), []).append(row[gene].strip().strip('"'))
    return ["\t".join([name, "", *genes]) for name, genes in sets.items()], "it has one row per term and gene"
