"""Words: summaries of functions begin with a verb, and words that the field does not use stay out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import mira_nb.errors

PACKAGE = Path(__file__).resolve().parents[1] / "mira_nb"

_VERBS = """
Add Adjust Align Analyse Answer Apply Arrange Ask Assemble Assign Average Begin Binarise Build Call Check Choose
Classify Clear Collect Colour Compare Compress Compute Concatenate Convert Copy Count Cross-validate Cut Deal Declare
Decode Delete Derive Describe Divide Download Draw Drop Encode End Escape Estimate Execute Factorise Fill Find Fit
Flip Fold Follow Forget Fork Form Format Generate Group Guess Halve Handle Hold Ignore Import Infer Invert Join Keep
Lay Leave Limit Link List Listen Load Lock Look Make Map Mark Match Maximise Measure Merge Minimise Model Move Name
Note Offer Open Order Pack Pair Parse Pass Place Point Pool Predict Print Project Put Query Read Recognise Record
Reduce Refuse Release Remove Rename Render Renumber Repair Replace Report Restore Return Run Scale Scan Score Screen
Search Select Send Separate Serve Set Show Simulate Smooth Solve Split Stack Standardise Start Stop Store Sum Sweep
Take Terminate Test Train Translate Try Tune Turn Undo Unpack Update Use Validate Wait Warn Weigh Wrap Write Yield
"""
VERBS = frozenset(_VERBS.split())
"""First words of summaries, imperative. A new verb is added here; Give, Say, Bring, Let and Tell have better ones."""


def is_property(node: ast.FunctionDef) -> bool:
    """Properties are described by a noun."""
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def first_words(source: str) -> list[tuple[str, str]]:
    """Name and first word of the summary of each function that is no property."""
    return [
        (node.name, doc.split()[0].strip(".,:;`"))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and not is_property(node) and (doc := ast.get_docstring(node))
    ]


def test_a_noun_is_seen() -> None:
    source = 'def a():\n    """Path of b."""\n\n@property\ndef c(self):\n    """The d."""\n'
    assert first_words(source) == [("a", "Path")]


def test_summaries_of_functions_begin_with_a_verb() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}: {name}: {word} ..."
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, word in first_words(path.read_text(encoding="utf-8"))
        if word not in VERBS
    ]
    assert wrong == []


TEXTS = [
    path
    for folder in ("mira_nb", "templates", "notebooks", "docs", "tests")
    for path in sorted((PACKAGE.parent / folder).rglob("*"))
    if path.suffix in {".py", ".md", ".yaml", ".ipynb", ".html", ".j2"} and "_build" not in path.parts
]
A_FOR_PER = re.compile(
    r"\b(?:rows?|sheets?|panels?|ms|seconds|minutes) an? (?:cell|gene|peak|topic|factor|epoch|stage|lineage|fit)\b"
)


def test_per_is_written_per() -> None:
    assert A_FOR_PER.search("A row a " + "gene: score")
    found = [f"{path.name}: {text}" for path in TEXTS for text in A_FOR_PER.findall(path.read_text(encoding="utf-8"))]
    assert found == []


LONGEST_IN_CODE = 60
"""Characters that a refusal may have in code, all its parts together; a longer one is a text, with a code."""
ERRORS = {name for name in vars(mira_nb.errors) if name[0].isupper()} | {"warn"}


def literal(node: ast.expr) -> str:
    """Text that a string has in code: without what is filled in."""
    if isinstance(node, ast.BinOp):
        return literal(node.left) + literal(node.right)
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def long_refusals(source: str) -> list[int]:
    """Lines of the refusals and warnings whose sentences stand in code."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ERRORS
        and sum(len(literal(part)) for part in (*node.args, *(item.value for item in node.keywords))) > LONGEST_IN_CODE
    ]


def test_a_long_refusal_is_seen() -> None:
    sentence = "the cells of both assays differ"
    assert long_refusals(f'raise InputError(f"{{a}}: {sentence}")') == []
    assert long_refusals(f'raise InputError(f"{{a}}: {sentence}", remedy="{sentence}")') == [1]


WITH_TEXTS = sorted(path.parent for path in PACKAGE.glob("*/messages.py"))


@pytest.mark.parametrize("package", WITH_TEXTS, ids=lambda path: path.name)
def test_sentences_of_refusals_stand_in_texts(package: Path) -> None:
    """In the packages that have texts for them; core, which sees no texts, says what its caller gave."""
    assert len(WITH_TEXTS) >= 6
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(package.rglob("*.py"))
        for line in long_refusals(path.read_text(encoding="utf-8"))
    ]
    assert found == []
