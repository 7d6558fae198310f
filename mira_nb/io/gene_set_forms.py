"""Other forms in which gene sets are given, as lines of a GMT file: JSON, XML, GMX, GAF, lists, tables."""

from __future__ import annotations

import csv
import html
import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from .gene_set_tables import Columns, Found, Table, is_known, split_cell
from .identifiers import plain_header
from .messages import Finding, finding

_MEMBERS: Final = ("geneSymbols", "genes", "symbols", "members", "gene", "gene_symbols", "markers", "targets")
_TERMS: Final = ("standardName", "name", "term", "geneset", "set", "pathway", "id", "cell_type", "tf", "title")
_KNOWN: Final = 0.3
_EVEN: Final = 0.9
_SUFFIXES: Final = r"\.(?:gmt|gmx|json|xml|csv|tsv|txt|grp|map|gaf|lst)$"
_ATTRIBUTE: Final = re.compile(r"""([A-Z_]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_GAF_WIDTHS: Final = (15, 16, 17)
_FOLDS: Final = (
    "avglog2fc", "avglogfc", "logfoldchanges", "logfoldchange", "log2foldchange", "log2foldchanges", "log2fc", "logfc",
    "lfc", "logfoldchangemean",
)  # fmt: skip
_ADJUSTED: Final = (
    "pvaladj", "pvalsadj", "padj", "padjust", "adjpval", "fdr", "qval", "qvalue", "qvals", "pvalueadj",
    "adjustedpvalue", "adjpvalue", "fdrqval",
)  # fmt: skip
"""Names of columns of adjusted p values."""
_ALPHA: Final = 0.05


class Lines(NamedTuple):
    """Lines of a GMT file; in words what they were made from ('' when they were one); what is to be said of it."""

    lines: list[str]
    form: str = ""
    findings: tuple[Finding, ...] = ()


def without_suffix(file: str) -> str:
    """Return the name of a file of gene sets without what says its form."""
    return re.sub(_SUFFIXES, "", file.removesuffix(".gz"))


def as_gmt(lines: list[str], genes: Collection[str] = (), file: str = "") -> Lines:
    """Return the lines of a GMT file, whatever the form in which the sets are given.

    Recognised are JSON of sets (of MSigDB, name -> genes, or a list of objects), MSigDB's XML and table of one set, GMX
    (one set per column), annotations of GO (GAF), a list of genes, tables with one row per set and gene or per set or
    per gene, and sets whose fields are separated by commas.

    Parameters
    ----------
    genes
        Names of the genes of the data, in upper case: they tell which columns of a table hold genes.
    file
        Name of the file, for what is said of it and as the name of a set that has none.
    """
    first = next((line.lstrip() for line in lines if line.strip()), "")
    if first.startswith(("{", "[")) and (found := _from_json(lines)):
        if isinstance(found, Lines):
            return found
        return _from_table(found, genes, file) or Lines(lines)
    if first.startswith("<"):
        return _from_xml(lines)
    if first.startswith("!"):
        lines = [line for line in lines if not line.startswith("!")]
    filled = _filled(lines)
    fields = [line.split("\t") for line in filled]
    if gaf := _from_gaf(fields):
        return gaf
    if one := _from_keys(fields):
        return one
    if len(filled) > 1 and _is_descriptions(fields[1]):
        return _from_columns(fields)
    separator = _separator(filled)
    if not separator:
        return _from_list(lines, genes, file)
    rows = _fields(filled, separator)
    if made := _from_table(rows, genes, file):
        return made
    if separator == "," and len(filled) > 1 and all(line.count(",") > 1 for line in filled):
        return Lines(["\t".join(row) for row in rows], "its fields are separated by commas")
    return Lines(lines)


def _filled(lines: Sequence[str]) -> list[str]:
    """Return the lines that are neither empty nor comments; a comment may be the header of what follows."""
    out: list[str] = []
    header = ""
    for line in lines:
        if line.startswith("#"):
            header = header if out else line.lstrip("#").strip()
        elif line.strip():
            if not out and header.count("\t") == line.count("\t") > 0:
                out.append(header)
            out.append(line)
    return out


def _separator(filled: Sequence[str]) -> str:
    """Return what separates the fields: of the marks in the first line the one that all lines have as often."""
    bare = [re.sub(r'"[^"]*"', "", line) for line in filled[:1000]]
    marks = [mark for mark in "\t;," if bare and mark in filled[0]]
    if "\t" in marks[:1]:
        return "\t"
    for mark in marks:
        if Counter(line.count(mark) for line in bare).most_common(1)[0][1] >= _EVEN * len(bare) and mark in bare[0]:
            return mark
    return marks[0] if marks else ""


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
    return quoted if len(quoted) == len(lines) or Table.of(quoted) is not None else plain


def _is_descriptions(fields: list[str]) -> bool:
    """Return whether a line holds nothing but descriptions: the second line of a GMX file."""
    texts = [field.strip().strip('"').lower() for field in fields]
    return len(texts) > 1 and all(
        text in {"na", "n/a", ""} or text.startswith(("http://", "https://")) for text in texts
    )


def _from_json(lines: list[str]) -> Lines | list[list[str]] | None:
    """Return the sets of a JSON file, or the rows of a table given as a list of objects."""
    try:
        found: Any = json.loads("\n".join(lines))
    except ValueError:
        return None
    if isinstance(found, dict):
        listed = [value for value in found.values() if isinstance(value, list) and value]
        if len(found) <= 2 and len(listed) == 1 and all(isinstance(item, dict) for item in listed[0]):
            found = listed[0]  # the list under a key of its own
    if isinstance(found, dict):
        pairs = list(found.items())
    elif isinstance(found, list) and all(isinstance(item, dict) for item in found):
        pairs = [(next((item[key] for key in _TERMS if key in item), None), item) for item in found]
        if found and not any(isinstance(value, (list, dict)) for item in found for value in item.values()):
            header = list(found[0])
            return [header, *([str(item.get(name, "")) for name in header] for item in found)]
    else:
        return None
    out = []
    for name, value in pairs:
        members = value
        if isinstance(value, dict):
            members = next((value[key] for key in _MEMBERS if isinstance(value.get(key), list)), None)
        if isinstance(members, list) and name is not None:
            out.append("\t".join([str(name), "", *map(str, members)]))
    left_out = (
        f"; {len(pairs) - len(out):,} entries without a name or genes were left out" if len(pairs) > len(out) else ""
    )
    return Lines(out, f"it is JSON{left_out}") if out else None


def _from_xml(lines: list[str]) -> Lines:
    """Return the sets of MSigDB's XML."""
    out = []
    for element in re.findall(r"<GENESET\b[^>]*>", " ".join(lines)):
        held = {name: html.unescape(double or single) for name, double, single in _ATTRIBUTE.findall(element)}
        members = held.get("MEMBERS_SYMBOLIZED") or held.get("MEMBERS", "")
        if held.get("STANDARD_NAME") and members:
            out.append("\t".join([held["STANDARD_NAME"], "", *members.split(",")]))
    return Lines(out, "it is the XML of MSigDB") if out else Lines(lines)


def _from_gaf(rows: Sequence[list[str]]) -> Lines | None:
    """Return annotations of GO as sets: the symbol is in the third column, the term in the fifth."""
    if not rows or not all(len(row) in _GAF_WIDTHS and row[4].startswith("GO:") for row in rows[:100]):
        return None
    sets: dict[str, list[str]] = {}
    n_not = n_short = 0
    for row in rows:
        if len(row) < _GAF_WIDTHS[0] or not row[2] or not row[4]:
            n_short += 1
        elif "NOT" in row[3].split("|"):
            n_not += 1
        else:
            sets.setdefault(row[4], []).append(row[2])
    form = "it is a file of GO annotations (GAF): symbols are in column 3, terms in column 5"
    form += _counted(n_not, "annotations with NOT") + _counted(n_short, "incomplete rows")
    return Lines(["\t".join([term, "", *symbols]) for term, symbols in sets.items()], form)


def _counted(n: int, what: str) -> str:
    return f"; {n:,} {what} were left out" if n else ""


def _from_keys(rows: Sequence[list[str]]) -> Lines | None:
    """Return MSigDB's table of a set: one row per key, among them its name and its genes."""
    keys = [row[0].strip().upper() for row in rows]
    if "STANDARD_NAME" not in keys or not {"GENE_SYMBOLS", "MAPPED_SYMBOLS"} & set(keys):
        return None
    out = []
    name = ""
    for key, row in zip(keys, rows, strict=True):
        if key == "STANDARD_NAME":
            name = row[1]
        elif key == ("GENE_SYMBOLS" if "GENE_SYMBOLS" in keys else "MAPPED_SYMBOLS"):
            out.append("\t".join([name, "", *row[1:]]))
    return Lines(out, "it is MSigDB's table of a set")


def _from_list(lines: list[str], genes: Collection[str], file: str) -> Lines:
    """Return a list of genes, one per line, as one set; its name is in the first line of a GRP file."""
    filled = [line.strip().strip('"') for line in lines if line.strip() and not line.startswith("#")]
    if len(filled) < 2 or sum(is_known(line, genes) for line in filled) < _KNOWN * len(filled):
        return Lines(lines)
    is_named = file.removesuffix(".gz").endswith(".grp") or (len(lines) > 1 and lines[1].startswith("#"))
    name = without_suffix(file) or "genes"
    if not is_known(filled[0], genes):
        if is_named:
            name, filled = filled[0], filled[1:]
        elif plain_header(filled[0]) in {"gene", "genes", "symbol", "symbols", "genesymbol", "genename"}:
            filled = filled[1:]
    return Lines(["\t".join([name, "", *filled])], f"it is a list of genes, taken as the one set {name}")


def _from_columns(rows: list[list[str]]) -> Lines:
    columns = list(zip_longest(*rows, fillvalue=""))
    return Lines(["\t".join(column) for column in columns], "it has one gene set per column")


def _from_table(rows: list[list[str]], genes: Collection[str], file: str) -> Lines | None:
    """Return the sets of a table; None where its columns do not tell."""
    table = Table.of(rows)
    if table is None:
        return None
    columns = Columns(table, genes)
    if found := columns.find():
        made = _from_rows(columns, found)
        said = _of_results(columns, found, file) if found.is_result else _of_tests(columns, found, file)
        return made._replace(findings=tuple(said))
    if numbers := columns.of_sets():
        kept = [[row[number] for number in numbers] for row in (table.header, *table.body)]
        return _from_columns([kept[0], [""] * len(numbers), *kept[1:]])
    return None


def _from_rows(columns: Columns, found: Found) -> Lines:
    table = columns.table
    whole = Columns(table._replace(body=found.rows), columns.genes)  # with the first row where it is no header
    terms = whole.term_items(found.term)
    mark, _ = columns.lists[found.gene]
    qualifier = next((n for n, name in enumerate(columns.names) if name == "qualifier"), None)
    sets: dict[str, list[str]] = {}
    n_not = n_bare = 0
    for items, row in zip(terms, found.rows, strict=True):
        names = [name for name in split_cell(row[found.gene], mark) if name not in {"", "-", "NA"}]
        if qualifier is not None and row[qualifier].startswith("NOT"):
            n_not += 1
        elif not items or not names:
            n_bare += 1
        else:
            for item in items:
                sets.setdefault(item, []).extend(names)
    listed, several = columns.is_listed(found.gene), any(len(items) > 1 for items in terms)
    what = "term" if listed else "gene, with lists of terms" if several else "term and gene"
    where = " and ".join(_shown(columns, number) for number in (found.term, found.gene))
    form = f"it has one row per {what}, in the columns {where}"
    if found.others:
        form += f"; not used: {', '.join(dict.fromkeys(found.others))}"
    form += _counted(table.n_longer, "rows with too many fields") + _counted(n_bare, "rows without a term or a gene")
    form += _counted(n_not, "rows with NOT as qualifier")
    return Lines(["\t".join([name, "", *members]) for name, members in sets.items()], form)


def _shown(columns: Columns, number: int) -> str:
    name = columns.table.header[number] if columns.names[number] else ""
    return f"{number + 1} ({name})" if name else str(number + 1)


def _of_results(columns: Columns, found: Found, file: str) -> list[Finding]:
    return [finding("sets_of_results", file=file, column=columns.table.header[found.gene], n_sets=len(found.rows))]


def _of_tests(columns: Columns, found: Found, file: str) -> list[Finding]:
    """Return how many rows a cut by fold change and p value would leave out: they are taken as they stand."""
    rows = {}
    for key, names in (("negative", _FOLDS), ("weak", _ADJUSTED)):
        number = next((columns.names.index(name) for name in names if name in columns.names), None)
        values = [] if number is None else [_number(row[number]) for row in found.rows]
        n = sum(value < 0 if key == "negative" else value > _ALPHA for value in values)
        rows[key] = (n, "" if number is None else columns.table.header[number])
    (n_negative, fold), (n_weak, adjusted) = rows["negative"], rows["weak"]
    if not n_negative and not n_weak:
        return []
    values_of = {"n_negative": n_negative, "negative_column": fold, "n_weak": n_weak, "weak_column": adjusted}
    return [finding("sets_of_tests", file=file, n_rows=len(found.rows), alpha=_ALPHA, **values_of)]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
