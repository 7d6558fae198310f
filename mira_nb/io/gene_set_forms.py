"""Other forms in which gene sets are given, as lines of a GMT file: MSigDB's JSON, GMX, tables of term and gene."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from .identifiers import plain_header

_TERMS: Final = {
    "term", "gsname", "set", "geneset", "pathway", "name", "signature", "group", "cluster", "source", "ont", "module",
    "celltype", "tf", "regulon", "setname", "genesetname", "termname",
}  # fmt: skip
_GENES: Final = {
    "gene", "genes", "genesymbol", "symbol", "symbols", "target", "genename", "feature", "officialgenesymbol", "marker",
}  # fmt: skip
_MEMBERS: Final = ("geneSymbols", "genes", "symbols", "members")
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|NA|")
_EVEN: Final = 0.9
_KNOWN: Final = 0.3
"""Fraction of the values of a column of genes that the data have: these may hold some genes only."""
_MOST_NAMES: Final = 2
"""Columns of genes in a table that does not name them, e.g. factor and target; a GMT file has more."""
_REPEATED: Final = 2
"""Rows per value of a column of sets."""


def as_gmt(lines: list[str], genes: Collection[str] = ()) -> tuple[list[str], str]:
    """Return the lines of a GMT file, and in words what they were made from ('' when they were one).

    Recognised are JSON of sets (of MSigDB, or name -> genes), GMX (one set per column), tables with one row per term
    and gene, and sets whose fields are separated by commas.

    Parameters
    ----------
    genes
        Names of the genes of the data, in upper case: they tell which columns of a table hold genes.
    """
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        return _from_json(lines)
    filled = [line for line in lines if line.strip() and not line.startswith("#")]
    if len(filled) > 1 and _is_descriptions(filled[1].split("\t")):
        return _from_columns([line.split("\t") for line in filled])
    separator = next((mark for mark in "\t;," if filled and mark in filled[0]), "")
    if not separator:
        return lines, ""
    rows = _fields(filled, separator)
    table = _Table.of(rows)
    if table is not None:
        if (found := table.term_and_gene(genes)) is not None:
            return _from_rows(table, *found)
        if columns := table.columns_of_genes(genes):
            kept = [[row[number] for number in columns] for row in table.rows]
            return _from_columns([kept[0], [""] * len(columns), *kept[1:]])
    if separator == "," and len(filled) > 1 and all(line.count(",") > 1 for line in filled):
        return ["\t".join(row) for row in rows], "its fields are separated by commas"
    return lines, ""


def _fields(lines: list[str], separator: str) -> list[list[str]]:
    """Return the fields of the lines; quotes count where they are those of a CSV file."""
    plain = [[field.strip().strip('"').strip() for field in line.split(separator)] for line in lines]
    if not any('"' in line for line in lines):
        return plain
    try:
        reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, skipinitialspace=True)
        quoted = [[" ".join(field.split()) for field in row] for row in reader]
    except csv.Error:
        return plain
    return quoted if len(quoted) == len(lines) or _Table.of(quoted) is not None else plain


class _Table(NamedTuple):
    """Rows of the same number of fields: what may be the header, and the others; how many were longer."""

    header: list[str]
    body: list[list[str]]
    n_longer: int

    @classmethod
    def of(cls, rows: Sequence[list[str]]) -> _Table | None:
        """Return the rows as a table, None where their lengths differ."""
        if len(rows) < 2:
            return None
        width = len(rows[1])
        n_even = sum(len(row) == width for row in rows[1:])
        body = [row + [""] * (width - len(row)) for row in rows[1:] if len(row) <= width]
        header = ["", *rows[0]] if len(rows[0]) == width - 1 else rows[0]  # write.table of R: row names have no name
        if width < 2 or len(header) != width or n_even < _EVEN * (len(rows) - 1):
            return None
        return cls(header, body, len(rows) - 1 - len(body))

    @property
    def rows(self) -> list[list[str]]:
        return [self.header, *self.body]

    def term_and_gene(self, genes: Collection[str]) -> tuple[int, int] | None:
        """Return the columns of sets and of genes, by their names and by what they hold; None where that is not clear.

        Without a header only two columns are taken, which as a GMT file would hold no gene.
        """
        names = [plain_header(name) for name in self.header]
        known = self._known(genes)
        named_genes = [number for number, name in enumerate(names) if name in _GENES]
        of_genes = named_genes or [number for number, share in enumerate(known) if share >= _KNOWN]
        if not 0 < len(of_genes) <= _MOST_NAMES and not named_genes:
            return None
        values = [{row[number] for row in self.body} for number in range(len(names))]
        gene = max(of_genes, key=lambda number: (known[number], 0 if named_genes else len(values[number])))
        named = [number for number, name in enumerate(names) if name in _TERMS and number != gene]
        repeated = [
            number
            for number, found in enumerate(values)
            if number != gene and _REPEATED * len(found) <= len(self.body) and found != values[gene]
        ]
        if named:
            return next((number for number in named if number in repeated), named[0]), gene
        if not (self._is_headed(genes) or len(names) == 2):
            return None
        texts = [n for n in repeated if len(values[n]) > 1 and not all(map(_NUMBER.fullmatch, values[n]))]
        if not texts:
            return None
        return max(texts, key=lambda number: len(values[number])), gene

    def columns_of_genes(self, genes: Collection[str]) -> list[int]:
        """Return the columns that are one set each; none where others than row numbers are among them."""
        of_genes = [number for number, share in enumerate(self._known(genes)) if share >= _KNOWN]
        others = {row[number] for row in self.body for number in range(len(self.header)) if number not in of_genes}
        if len(of_genes) < 2 or not self._is_headed(genes) or not all(map(_NUMBER.fullmatch, others)):
            return []
        terms = [self.header[number] for number in of_genes]
        return of_genes if all(terms) and len(set(terms)) == len(terms) else []

    def _known(self, genes: Collection[str]) -> list[float]:
        """Return which fraction of the distinct values of every column are genes of the data."""
        distinct = [{row[number].upper() for row in self.body} - {""} for number in range(len(self.header))]
        return [sum(value in genes for value in values) / max(len(values), 1) for values in distinct]

    def _is_headed(self, genes: Collection[str]) -> bool:
        return not any(name.upper() in genes and plain_header(name) not in _TERMS | _GENES for name in self.header)


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


def _from_columns(rows: list[list[str]]) -> tuple[list[str], str]:
    columns = list(zip_longest(*rows, fillvalue=""))
    return ["\t".join(column) for column in columns], "it has one gene set per column"


def _from_rows(table: _Table, term: int, gene: int) -> tuple[list[str], str]:
    sets: dict[str, list[str]] = {}
    is_header = table.header[term] not in {row[term] for row in table.body}
    for row in table.body if is_header else table.rows:
        sets.setdefault(row[term], []).append(row[gene])
    left_out = f"; {table.n_longer:,} rows with too many fields were left out" if table.n_longer else ""
    form = f"it has one row per term and gene, in the columns {term + 1} and {gene + 1}{left_out}"
    return ["\t".join([name, "", *genes]) for name, genes in sets.items()], form
