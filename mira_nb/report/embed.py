"""The one place that puts data into HTML: escaping, data URIs, hashed inline scripts and the page's security policy.

Nothing that comes from data (names of cells, genes, files, error texts) reaches the page except through Jinja's
autoescaping, :func:`json_block`, :func:`text_block` or :func:`markdown`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from xml.etree import ElementTree

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markupsafe import Markup, escape

_UNSAFE: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass
class Policy:
    """Collect the hashes of inline scripts and styles for the Content-Security-Policy."""

    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)

    def script(self, code: str) -> Markup:
        """Return an inline script whose hash the policy allows."""
        # inside a script element only these two sequences mean anything to an HTML parser
        safe = _newlines(code).replace("</script", "<\\/script").replace("<!--", "<\\!--")
        self.scripts.append(_hash(safe))
        return Markup(f"<script>{safe}</script>")

    def style(self, css: str) -> Markup:
        """Return an inline style sheet whose hash the policy allows."""
        safe = _newlines(css).replace("</style", "<\\/style")
        self.styles.append(_hash(safe))
        return Markup(f"<style>{safe}</style>")

    def content(self) -> str:
        """Return the content of the Content-Security-Policy meta element."""
        scripts = " ".join(f"'sha256-{value}'" for value in self.scripts) or "'none'"
        styles = " ".join(f"'sha256-{value}'" for value in self.styles) or "'none'"
        return (
            f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'"
        )


def plain_json(value: Any) -> str:
    """Return JSON on one line without spaces; NaN is refused."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_text(value: Any) -> str:
    """Return JSON that cannot end a script element or start a comment; NaN is refused."""
    text = plain_json(value)
    return re.sub("[<>&\u2028\u2029]", lambda match: _UNSAFE[match[0]], text)


def json_block(identifier: str, value: Any) -> Markup:
    """Return data for the page's scripts; the browser never executes it."""
    return Markup(f'<script type="application/json" id="{escape(identifier)}">{json_text(value)}</script>')


def archive_block(identifier: str, texts: Mapping[str, str]) -> Markup:
    """Return many texts for the page's scripts as one compressed block (gzip, base64).

    Rows of charts and tables make most of a report and shrink six-fold; specifications stay readable in the file.
    Inside: one line per text, with its name, a tab and the text, which is JSON or base64 and so has no line ends.

    Raises
    ------
    ValueError
        When a name or a text holds a tab or line end of its own.
    """
    for name, text in texts.items():
        if "\t" in name or "\n" in name or "\n" in text:
            raise ValueError(f"{name!r} does not fit on one line")
    lines = "\n".join(f"{name}\t{text}" for name, text in texts.items())
    packed = base64.b64encode(gzip.compress(lines.encode("utf-8"), mtime=0)).decode("ascii")
    return Markup(f'<script type="text/plain" id="{escape(identifier)}">{packed}</script>')


def base64_block(identifier: str, content: bytes) -> Markup:
    """Return bytes for the page's scripts as base64."""
    return Markup(
        f'<script type="text/plain" id="{escape(identifier)}">{base64.b64encode(content).decode("ascii")}</script>'
    )


def picture_uri(content: bytes, kind: str = "png") -> str:
    """Return a picture as a data URI; `kind` is ``png`` or ``svg+xml``. Scripts in an SVG do not run there."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


def png_size(content: bytes) -> tuple[int, int]:
    """Return width and height of a PNG in pixels.

    Raises
    ------
    ValueError
        When it is not a PNG.
    """
    if len(content) < 24 or content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR":
        raise ValueError("not a PNG file")
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def svg_size(content: bytes) -> tuple[int, int]:
    """Return width and height of an SVG in pixels, as its root element states them.

    Raises
    ------
    ValueError
        When it is not an SVG file or has no size in pixels.
    """
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"not an SVG file ({error})") from None
    size = [re.fullmatch(r"(\d+(?:\.\d+)?)(?:px)?", root.get(name, "")) for name in ("width", "height")]
    if root.tag != "{http://www.w3.org/2000/svg}svg" or size[0] is None or size[1] is None:
        raise ValueError("not an SVG file with a width and a height in pixels")
    return round(float(size[0][1])), round(float(size[1][1]))


def markdown(text: str) -> Markup:
    """Render paragraphs, lists, ``**bold**``, ``*italic*`` and ```code```; everything else stays text."""
    return Markup(_renderer().render(str(text)).strip())


def inline(text: str) -> Markup:
    """Render the inline marks of :func:`markdown`, for captions."""
    return Markup(_renderer().renderInline(str(text)))


@cache
def _renderer() -> MarkdownIt:
    """Return CommonMark without HTML, links, pictures, entities and escapes, so that names stay as they are."""
    renderer = MarkdownIt("zero", {"html": False}).enable(["list", "emphasis", "backticks"])
    renderer.inline.ruler.at("emphasis", _asterisks)
    return renderer


def _asterisks(state: StateInline, silent: bool) -> bool:
    """Find delimiters of emphasis: CommonMark's rule without ``_``, and never in a word (``HLA-A*02:01``, ``a_*``)."""
    if silent or state.src[state.pos] != "*":
        return False
    if state.src[state.pos - 1 : state.pos] == "_" or state.src[state.pos + 1 : state.pos + 2] == "_":
        state.pending += "*"
        state.pos += 1
        return True
    found = state.scanDelims(state.pos, False)
    for _ in range(found.length):
        state.push("text", "", 0).content = "*"
        last = len(state.tokens) - 1
        state.delimiters.append(Delimiter(ord("*"), found.length, last, -1, found.can_open, found.can_close))
    state.pos += found.length
    return True


def slug(text: str) -> str:
    """Return a name as a fragment identifier: small letters, digits, ``-`` and ``_``."""
    return re.sub(r"[^a-z0-9_]+", "-", str(text).casefold()).strip("-") or "x"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _newlines(text: str) -> str:
    # an HTML parser normalises line ends before hashing
    return text.replace("\r\n", "\n").replace("\r", "\n")
