"""Tables of gene sets: which columns hold the sets and which the genes, by their names and by what they hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from .delimited import MISSING
from .identifiers import plain_header, without_version

_NAMED_SETS: Final = {
    "cellname", "clustername", "celltypename", "cellsubtype", "subtype", "gsname", "setname", "genesetname",
    "standardname", "termname", "pathwayname", "gotermname", "goname", "goterm", "genegroupname", "sourcegenesymbol",
    "tfname", "tfsymbol", "modulename", "programname",
}  # fmt: skip
"""Names of columns that name the sets themselves: they go before those that may be a class of them."""
_SETS: Final = _NAMED_SETS | {
    "term", "set", "geneset", "pathway", "signature", "cluster", "module", "celltype", "tf", "regulon", "termid",
    "pathwayid", "gotermaccession", "goaccession", "goid", "goids", "gos", "go", "keggpathway", "program", "programme",
    "tissuetype", "state", "louvain", "leiden", "transcriptionfactor", "regulator",
}  # fmt: skip
_VAGUE_SETS: Final = {"name", "group", "source", "ont", "tissuetype"}
_RESULT_SETS: Final = {"id", "description"}
"""Names of sets beside lists of genes only: elsewhere they belong to the genes."""
_GENES: Final = {
    "gene", "genes", "genesymbol", "symbol", "symbols", "target", "genename", "feature", "officialgenesymbol", "marker",
    "targetgenesymbol", "approvedsymbol", "genesymbols", "members", "genesymbolmore1", "markers", "cellmarker",
    "markergene", "markergenes", "targetgene", "targetgenes", "hgncsymbol", "mgisymbol", "preferredname",
}  # fmt: skip
_RESULT_GENES: Final = {
    "intersections", "intersection", "leadingedge", "ledgegenes", "leadgenes", "coreenrichment", "overlapgenes",
    "userid", "geneid",
}  # fmt: skip
"""Columns of the genes that a test found in a set: not all genes of it."""
_TEST: Final = {
    "pval", "pvalue", "padj", "padjust", "adjustedpvalue", "fdr", "nes", "pvaladj", "fdrqval", "qvalue", "ledgegenes",
}  # fmt: skip
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|NA|")
_MISSING: Final = MISSING | {"-"}
_ACCESSION: Final = re.compile(r"https?://\S+|[A-Za-z]+(?:[-:_][A-Za-z]+)*[-:_]?\d+(?:\.\d+)?|\d+")
_BRACKETS: Final = re.compile(r"(?:c?\(|\[|\{)\s*(['\"].*['\"]|[^\[\](){}]*[,;|/][^\[\](){}]*)\s*[\])}]")
_LIST: Final = re.compile(r"\s*[,;|]\s*")
_SLASHES: Final = re.compile(r"\s*/+\s*")
_BLANKS: Final = re.compile(r"\s+")
_TERM_LISTS: Final = {
    "|": re.compile(r"\s*\|\s*"),
    ";": re.compile(r"\s*;\s*"),
    ",": re.compile(r"\s*,\s*"),
    "//": re.compile(r"\s*/{2,3}\s*"),
}
_EVEN: Final = 0.9
_KNOWN: Final = 0.3
"""Fraction of the values of a column of genes that the data have: these may hold some genes only."""
_FEW_KNOWN: Final = 0.05
_WIDE_KNOWN: Final = 0.1
"""The same over all columns of a table with a set in each, where they are lists of distinct names."""
_MOST_NAMES: Final = 2
"""Columns of genes in a table that does not name them, e.g. factor and target; a GMT file has more."""
_REPEATED: Final = 2
"""Genes per value of a column of sets."""
_LISTED: Final = 0.3
"""Fraction of the rows with several terms in a table with one row per gene: some genes have one term alone."""


class Table(NamedTuple):
    """Rows of the same number of fields: what may be the header, and the others; how many were longer."""

    header: list[str]
    body: list[list[str]]
    n_longer: int

    @classmethod
    def of(cls, rows: Sequence[list[str]]) -> Table | None:
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


class Found(NamedTuple):
    """Columns of sets and genes; the rows that hold them; names of columns that could be meant as well."""

    term: int
    gene: int
    rows: list[list[str]]
    others: list[str]
    is_result: bool


def split_cell(cell: str, mark: re.Pattern[str] | None) -> list[str]:
    """Return the items of a field, which may be a list as Python or R print it; the whole of it without a mark."""
    text = cell
    if cell.rstrip().endswith((")", "]", "}")) and (bracketed := _BRACKETS.fullmatch(cell.strip())):
        text = re.sub(r"['\"]", "", bracketed[1])
        mark = mark or (_LIST if _LIST.search(text) else _BLANKS)
    if mark is None:
        return [text] if text else []
    return [item for item in mark.split(text.strip()) if item]


def is_known(name: str, genes: Collection[str]) -> bool:
    """Return whether a name is a gene of the data, in any case of its letters and with or without a version."""
    upper = name.upper()
    return upper in genes or without_version(upper) in genes


def _name(cell: str) -> str:
    """Return a field that may be the name of a gene, '' for texts and addresses."""
    return "" if "://" in cell or _BLANKS.search(cell) else cell


@dataclass(frozen=True)
class Columns:
    """A table with what its columns hold.

    Attributes
    ----------
    table
        Header and rows.
    genes
        Names of the genes of the data, in upper case.
    memo
        The sets of every row by the columns for which they were asked.
    """

    table: Table
    genes: Collection[str]
    memo: dict[int, list[list[str]]] = field(default_factory=dict, repr=False)

    @cached_property
    def cells(self) -> list[list[str]]:
        """Values column by column."""
        return [list(column) for column in zip(*self.table.body, strict=True)]

    @cached_property
    def lists(self) -> list[tuple[re.Pattern[str] | None, float]]:
        """What separates genes in the fields of every column, and which fraction of them the data have."""
        return [self._lists_of(set(cells)) for cells in self.cells]

    def _lists_of(self, cells: set[str]) -> tuple[re.Pattern[str] | None, float]:
        best: tuple[re.Pattern[str] | None, float] = (None, 0.0)
        for mark in (None, _LIST, _SLASHES, _BLANKS):
            if mark is not None and not any(map(mark.search, cells)):
                continue
            items = {item.upper() for cell in cells for item in split_cell(cell, mark)} - {""}
            n_known = sum(is_known(item, self.genes) for item in items)
            share = n_known / max(len(items), 1)
            # a word of a text may be a gene by chance
            if share > best[1] and (mark is not _BLANKS or (share >= 0.5 and n_known >= 5)):
                best = (mark, share)
        if not best[1] and sum(cell.count("/") > 1 for cell in cells) > 0.5 * len(cells):
            return (_SLASHES, 0.0)
        return best

    @cached_property
    def known(self) -> list[float]:
        """Fraction of the distinct names of every column that are genes of the data."""
        return [share for _, share in self.lists]

    @cached_property
    def is_headed(self) -> bool:
        """Whether the first row names the columns: it holds no gene where the others do, and no value of many rows."""
        for name, cells in zip(self.table.header, self.cells, strict=True):
            if not _NUMBER.fullmatch(name) and cells.count(name) > max(1, (1 - _EVEN) * len(cells)):
                return False
        return not any(
            is_known(item, self.genes) and plain_header(name) not in _SETS | _VAGUE_SETS | _GENES | _RESULT_GENES
            for name, (mark, share) in zip(self.table.header, self.lists, strict=True)
            if share >= _FEW_KNOWN
            for item in split_cell(name, mark)
        )

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns as they are compared, empty without a header."""
        return [plain_header(name) if self.is_headed else "" for name in self.table.header]

    def is_listed(self, number: int) -> bool:
        """Return whether most fields of a column of genes hold several."""
        several = sum(len(split_cell(cell, self.lists[number][0] or _LIST)) > 1 for cell in self.cells[number])
        return several > 0.5 * len(self.table.body)

    def find(self) -> Found | None:
        """Return the columns of sets and of genes; None where that is not clear.

        Without a header, rows that as a GMT file would be sets of one or two genes are taken where their sets repeat.
        """
        gene = self._gene()
        if gene is None:
            return None
        listed = self.is_listed(gene)
        term, others = self._named_term(gene, listed)
        if term is None or (self.names[term] in _VAGUE_SETS and not listed and self._per_set(term, gene) < _REPEATED):
            found = self._unnamed_term(gene, listed)
            term = term if found is None else found
        if term is None or self._is_gmt(term, gene, listed):
            return None
        others += [
            self.table.header[number]
            for number, name in enumerate(self.names)
            if name.startswith("genesymbol") and number != gene and set(self.cells[number]) != set(self.cells[gene])
        ]
        is_result = listed and (self.names[gene] in _RESULT_GENES - {"geneid"} or bool(_TEST & set(self.names)))
        return Found(term, gene, self._rows(term, gene), others, is_result)

    def _gene(self) -> int | None:
        terms = _SETS | _VAGUE_SETS
        named = [n for n, name in enumerate(self.names) if name in _GENES]
        named = named or [n for n, name in enumerate(self.names) if name in _RESULT_GENES]
        least = _KNOWN if max(self.known) >= _KNOWN else _FEW_KNOWN  # of a table of all genes the data may have few
        held = [n for n, share in enumerate(self.known) if share >= least and self.names[n] not in terms]
        held = held or [n for n, share in enumerate(self.known) if share >= least]
        if named and (not held or max(self.known[n] for n in named) >= _WIDE_KNOWN):
            return max(named, key=lambda n: self.known[n])
        if not 0 < len(held) <= _MOST_NAMES:
            return None
        most = max(self.known[n] for n in held)
        # factors may all be in the data, of their targets a part: there are more targets
        return max((n for n in held if 2 * self.known[n] >= most), key=lambda n: (len(set(self.cells[n])), n))

    def term_items(self, number: int) -> list[list[str]]:
        """Return the sets of every row: several where many fields of the column are lists of repeated items."""
        if number not in self.memo:
            self.memo[number] = self._term_items(number)
        return self.memo[number]

    def _term_items(self, number: int) -> list[list[str]]:
        cells = self.cells[number]
        filled = [cell for cell in cells if cell not in _MISSING]
        wholes = set(filled)
        for text, mark in _TERM_LISTS.items():
            if sum(text in cell for cell in filled) <= _LISTED * len(filled):
                continue
            parts = [split_cell(cell, mark) for cell in filled]
            items = [item for part in parts for item in part]
            distinct = set(items)
            are_accessions = sum(map(bool, map(_ACCESSION.fullmatch, distinct))) >= _EVEN * len(distinct)
            if (
                sum(len(part) > 1 for part in parts) > _LISTED * max(len(filled), 1)
                and _REPEATED * len(distinct) <= len(items)
                # names with a comma in them have more parts than there are names
                and (are_accessions or len(distinct) < len(wholes))
            ):
                return [[] if cell in _MISSING else split_cell(cell, mark) for cell in cells]
        return [[] if cell in _MISSING else [cell] for cell in cells]

    def _per_set(self, term: int, gene: int) -> float:
        """Return how many genes the values of a column have on average."""
        pairs = {
            (item, cell) for items, cell in zip(self.term_items(term), self.cells[gene], strict=True) for item in items
        }
        mark = self.lists[gene][0] or _LIST
        return sum(len(split_cell(cell, mark)) for _, cell in pairs) / max(len({item for item, _ in pairs}), 1)

    def _named_term(self, gene: int, listed: bool) -> tuple[int | None, list[str]]:
        """Return the column that its name says to hold the sets, and the names of others that might."""
        tiers = (_NAMED_SETS, _SETS, _VAGUE_SETS, _RESULT_SETS if listed else set())
        named = [
            (tier, n)
            for n, name in enumerate(self.names)
            if n != gene and (tier := next((t for t, names in enumerate(tiers) if name in names), -1)) >= 0
        ]
        if not named:
            return None, []
        usable = [(tier, n) for tier, n in named if self._per_set(n, gene) >= _REPEATED] or named
        lowest = min(tier for tier, _ in usable)
        best = self._most_specific([n for tier, n in usable if tier == lowest])
        others = [self.table.header[n] for _, n in usable if n != best and not self._equal(n, best)]
        return best, others

    def _most_specific(self, numbers: Sequence[int]) -> int:
        """Return the first column, or one that divides its values; of two that say the same, the one in words."""
        best = numbers[0]
        for number in numbers[1:]:
            same = self._equal(number, best)
            if (same and self._in_words(number) > self._in_words(best)) or (not same and self._refines(number, best)):
                best = number
        return best

    def _refines(self, fine: int, coarse: int) -> bool:
        """Return whether every value of a column lies within one value of another."""
        pairs = set(zip(self.cells[fine], self.cells[coarse], strict=True))
        return len(pairs) == len(set(self.cells[fine]))

    def _equal(self, one: int, other: int) -> bool:
        return self._refines(one, other) and self._refines(other, one)

    def _in_words(self, number: int) -> float:
        """Return which fraction of the values are no accessions, numbers or addresses."""
        values = set(self.cells[number]) - _MISSING
        return sum(is_known(value, self.genes) or not _ACCESSION.fullmatch(value) for value in values) / max(
            len(values), 1
        )

    def _unnamed_term(self, gene: int, listed: bool) -> int | None:
        """Return the text column with the most sets of several genes each."""
        texts = []
        for number, cells in enumerate(self.cells):
            values = set(cells)
            if number == gene or values == set(self.cells[gene]) or len(values) < 2:
                continue
            if not all(map(_NUMBER.fullmatch, values)) and self._per_set(number, gene) >= _REPEATED:
                texts.append(number)
        if not texts:
            return None
        if listed:
            return self._most_specific(texts)
        n_most = max(len(set(self.cells[n])) for n in texts)
        return self._most_specific([n for n in texts if len(set(self.cells[n])) == n_most])

    def _is_gmt(self, term: int, gene: int, listed: bool) -> bool:
        """Return whether the rows could as well be sets of a GMT file: each under a term of its own."""
        is_named = self.names[term] in _SETS | _VAGUE_SETS | _RESULT_SETS
        if len(self.cells) == 2 or (is_named and (term > 0 or self.names[gene] in _GENES | _RESULT_GENES)):
            return False
        first = self.cells[0]
        if listed:
            return gene > 1 and not self.is_headed
        if gene == 0:
            return any(share >= _FEW_KNOWN for share in self.known[2:])
        if all(map(_NUMBER.fullmatch, first)) or _REPEATED * len(set(first)) <= len(first):
            return False
        return not (self.is_headed and term > 1)

    def _rows(self, term: int, gene: int) -> list[list[str]]:
        """Return the rows of sets, the first among them unless it names the columns."""
        header, names = self.table.header, _SETS | _VAGUE_SETS | _GENES | _RESULT_GENES
        if not self.is_headed:
            return [header, *self.table.body]
        if self.names[term] in names or self.names[gene] in names:
            return self.table.body
        known_terms = {item for items in self.term_items(term) for item in items}
        mark = next((mark for mark in _TERM_LISTS.values() if set(split_cell(header[term], mark)) <= known_terms), None)
        is_data = header[term] in known_terms or (mark is not None and bool(header[term]))
        is_data |= self.is_listed(gene) and len(split_cell(header[gene], self.lists[gene][0] or _LIST)) > 1
        return [header, *self.table.body] if is_data else self.table.body

    def of_sets(self) -> list[int]:
        """Return the columns that are one set each; none where others than numbers and names are among them.

        Columns may hold few genes of the data, or none: a GMT file would have no genes in its first two columns.
        """
        texts = [n for n, cells in enumerate(self.cells) if not all(map(_NUMBER.fullmatch, set(cells)))]
        terms = [self.table.header[n] for n in texts]
        if len(texts) < 2 or not self.is_headed or not all(terms) or len(set(terms)) < len(terms):
            return []
        if self.cells[texts[0]] == self.cells[texts[1]] or any(self.names[n] in _GENES for n in texts):
            return []
        filled = [[cell for cell in self.cells[n] if cell not in _MISSING] for n in texts]
        if any(len(set(map(_name, cells)) - {""}) < _EVEN * len(cells) for cells in filled):
            return []
        known = [sum(is_known(cell, self.genes) for cell in cells) for cells in filled]
        n_all = sum(map(len, filled))
        leading = max(n / max(len(cells), 1) for n, cells in zip(known[:2], filled[:2], strict=True))
        n_with = sum(n > 0 for n in known)
        return texts if n_with > 1 and leading >= _FEW_KNOWN and sum(known) >= _WIDE_KNOWN * n_all else []
