"""What a docstring says of a function and of each parameter, in the styles of Google, NumPy, Sphinx and epydoc.

Google's style is read here. The others are read by docstring-parser where it is installed; where it is not, the text
before their sections is all that is taken, so that no markup passes for a description.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

_Style: TypeAlias = Literal["REST", "EPYDOC", "NUMPYDOC"]

_ARGUMENTS = ("Args", "Arguments", "Parameters", "Params", "Keyword Args", "Keyword Arguments", "Other Parameters")
_OTHERS = (
    "Returns?|Yields?|Receives|Raises|Warns|Examples?|Notes?|Attributes|Methods|References|See Also|Todo|Warnings?"
    "|Source"
)
_SECTION = re.compile(rf"({'|'.join(_ARGUMENTS)}|{_OTHERS}):(?:\s.*)?")
_ARGUMENT = re.compile(r"(\w+)\s*(?:\(.*?\))?\s*:\s*(.*)")
# Sources: https://www.sphinx-doc.org/en/master/usage/domains/python.html#info-field-lists,
# https://epydoc.sourceforge.net/manual-fields.html, https://numpydoc.readthedocs.io/en/latest/format.html#sections.
_FIELDS = (
    r"(?:param|parameter|arg|argument|key|keyword|kwarg|kwparam|type|returns?|rtype|raises?|except|exception|yields?"
    r"|ytype|i?var|cvar|meta)\b[^:\n]*:"
)
_MARKS: tuple[tuple[_Style, re.Pattern[str]], ...] = (
    ("REST", re.compile(rf"^[ \t]*:{_FIELDS}", re.MULTILINE)),
    ("EPYDOC", re.compile(rf"^[ \t]*@{_FIELDS}", re.MULTILINE)),
    ("NUMPYDOC", re.compile(rf"^(?:{'|'.join(_ARGUMENTS)}|{_OTHERS})[ \t]*\n-{{3,}}[ \t]*$", re.MULTILINE)),
)


def described(doc: str) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring that is outside its sections, and what these say of each parameter.

    Args:
        doc: The docstring, its indentation removed (``inspect.cleandoc``).
    """
    marks: list[tuple[int, _Style]] = [(found.start(), style) for style, mark in _MARKS if (found := mark.search(doc))]
    if not marks:
        return _google(doc)
    start, style = min(marks)
    return doc[:start].strip(), _parsed(doc, style)


def _parsed(doc: str, style: _Style) -> dict[str, str]:
    try:
        import docstring_parser  # noqa: PLC0415  (optional, and few functions are tools)
    except ImportError:
        return {}
    try:
        found = docstring_parser.parse(doc, docstring_parser.DocstringStyle[style]).params
    except docstring_parser.ParseError:
        return {}
    # NumPy's style describes several at once, as in "x, y : int".
    return {
        name.strip().lstrip("*"): " ".join(entry.description.split())
        for entry in found
        if entry.description
        for name in entry.arg_name.split(",")
    }


def _google(doc: str) -> tuple[str, dict[str, str]]:
    prose: list[str] = []
    found: dict[str, list[str]] = {}
    section, name, indent = "", "", 0
    for line in doc.splitlines():
        text = line.strip()
        if header := _SECTION.fullmatch(line):
            section, name, indent = header[1], "", 0
            continue
        if text and not line[0].isspace():
            section = ""
        if not section:
            prose.append(line)
        elif section in _ARGUMENTS and text:
            depth = len(line) - len(line.lstrip())
            indent = indent or depth
            if depth <= indent and (entry := _ARGUMENT.fullmatch(text)):
                name = entry[1]
                found[name] = [entry[2]]
            elif name:
                found[name].append(text)
    return "\n".join(prose).strip(), {name: " ".join(filter(None, lines)) for name, lines in found.items()}


def noted(hints: Mapping[str, object]) -> dict[str, str]:
    """Return what ``Annotated`` says of each name: a text, a ``Doc`` (PEP 727), or what pydantic's ``Field`` says.

    Args:
        hints: Resolved annotations, with what is beside their types.
    """
    found: dict[str, str] = {}
    for name, hint in hints.items():
        for note in getattr(hint, "__metadata__", ()):
            text = note if isinstance(note, str) else getattr(note, "documentation", None)
            text = text or getattr(note, "description", None)
            if isinstance(text, str) and text.strip():
                found.setdefault(name, " ".join(text.split()))
    return found
