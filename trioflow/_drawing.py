"""The graph of a run, or of declarations, as text that others draw: Mermaid and Graphviz.

What goes in is a value for each step (`Node`), what comes out has one node or one edge on each line and is the same for
the same nodes, so that it can be compared with a diff. State is told by a mark as well as by a colour, since not everybody
sees those. A step that is declared in the body of another hangs on it by a dotted line.

Names are any text, and each is shown as it is. Both languages have a way to write what would mean something to them, and
neither says what all of that is. For Mermaid nearly everything that is no letter or digit is written as an entity code: a
label goes through a lexer, through expressions that look for styles, icons and formulas, and in some of its versions
through Markdown as well, for which "1. load" is a list. Quoting alone stands up to the lexer only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias, final

import attrs

from ._time import shown

#: Name and occurrence of the step in whose body it is declared, if it is in one, and so on inwards; its own come last.
Path: TypeAlias = tuple[tuple[str, int], ...]
Kind: TypeAlias = Literal["step", "sleep", "wait"]
State: TypeAlias = Literal["pending", "running", "cancelling", "succeeded", "failed", "cancelled"]


@final
@attrs.frozen
class Node:
    """A step, a sleep or a wait, as far as it is drawn."""

    #: Which it is: (name, occurrence) of the step in whose body it is declared, if it is in one, and so on inwards; its own
    #: comes last. Steps, sleeps and waits are counted apart, so that one of each may have the same path.
    path: Path
    #: What has become of it, in the words of `Step.status`.
    state: State = "pending"
    #: How long its body took, from start to end, in seconds; None if that isn't known, or not yet.
    seconds: float | None = None
    #: The steps that it depends on, in order.
    depends: tuple[Path, ...] = ()
    #: What it is.
    kind: Kind = attrs.field(default="step", kw_only=True)

    @property
    def label(self) -> str:
        """Its name; "name #2" for the second of that name where it is declared."""
        return label_of(self.path)


def label_of(path: Path) -> str:
    """How a step is called where there may be several of its name. No two steps of one place are called the same.

    >>> label_of((("load", 1),)), label_of((("load", 1), ("page", 2))), label_of((("load #2", 1),))
    ('load', 'page #2', 'load #2 #1')
    """
    name, occurrence = path[-1]
    if occurrence == 1 and not _LOOKS_COUNTED.search(name):
        return name
    return f"{name} #{occurrence}"


_LOOKS_COUNTED: Final = re.compile(r" #[0-9]+\Z")

#: The mark before the name, the colours of area and border, and whether the border is dashed.
_LOOKS: Final[dict[State, tuple[str, str, str, bool]]] = {
    "pending": ("", "#ffffff", "#8c959f", False),
    "running": ("► ", "#ddf4ff", "#0969da", False),
    "cancelling": ("◐ ", "#fff8c5", "#9a6700", True),
    "succeeded": ("✓ ", "#dafbe1", "#1a7f37", False),
    "failed": ("✗ ", "#ffebe9", "#cf222e", False),
    "cancelled": ("⊘ ", "#eaeef2", "#57606a", True),
}

_Key: TypeAlias = tuple[Kind, Path]


def mermaid(nodes: Iterable[Node]) -> str:
    """A Mermaid flowchart. Dependencies that are not among the nodes are drawn as pending ones.

    Mermaid draws at most 500 edges unless the page that shows it allows more (`maxEdges`). `dot` has no such limit.

    >>> print(mermaid([Node((("load", 1),), "succeeded", 1.5), Node((("sum", 1),), depends=((("load", 1),),))]), end="")
    flowchart TD
      n0["✓ load<br>1.5 s"]:::succeeded
      n1["sum"]:::pending
      n0 --> n1
      classDef pending fill:#ffffff,stroke:#8c959f,color:#000000
      classDef succeeded fill:#dafbe1,stroke:#1a7f37,color:#000000
    """
    drawn = _all_of(nodes)
    lines = ["flowchart TD"]
    for number, node in enumerate(drawn.values()):
        opening, closing = _MERMAID_SHAPES[node.kind]
        text = _LOOKS[node.state][0] + "<br>".join(map(_for_mermaid, _lines_of(node)))
        lines.append(f'  n{number}{opening}"{text}"{closing}:::{node.state}')
    lines += [f"  n{tail} {'-.->' if inner else '-->'} n{head}" for tail, head, inner in _edges(drawn)]
    states = {node.state for node in drawn.values()}
    for state, (_, area, border, dashed) in _LOOKS.items():
        if state in states:
            dashes = ",stroke-dasharray:4 3" if dashed else ""
            lines.append(f"  classDef {state} fill:{area},stroke:{border},color:#000000{dashes}")
    return "\n".join(lines) + "\n"


def dot(nodes: Iterable[Node]) -> str:
    """A directed graph in DOT, Graphviz's language. Dependencies that are not among the nodes are drawn as pending ones.

    >>> print(dot([Node((("load", 1),), "failed"), Node((("load", 1), ("page", 2)), "cancelled")]), end="")
    digraph {
      node [shape=box style="rounded,filled" fontname="sans-serif"]
      n0 [label="✗ load" fillcolor="#ffebe9" color="#cf222e"]
      n1 [label="⊘ page #2" fillcolor="#eaeef2" color="#57606a" style="rounded,filled,dashed"]
      n0 -> n1 [style=dotted]
    }
    """
    drawn = _all_of(nodes)
    lines = ["digraph {", '  node [shape=box style="rounded,filled" fontname="sans-serif"]']
    for number, node in enumerate(drawn.values()):
        mark, area, border, dashed = _LOOKS[node.state]
        text = mark + "\\n".join(map(_for_dot, _lines_of(node)))
        style = ' style="rounded,filled,dashed"' if dashed else ""
        lines.append(f'  n{number} [label="{text}" fillcolor="{area}" color="{border}"{style}{_DOT_SHAPES[node.kind]}]')
    lines += [f"  n{tail} -> n{head}{' [style=dotted]' if inner else ''}" for tail, head, inner in _edges(drawn)]
    return "\n".join([*lines, "}"]) + "\n"


_MERMAID_SHAPES: Final[dict[Kind, tuple[str, str]]] = {
    "step": ("[", "]"),
    "sleep": ("([", "])"),
    "wait": ("{{", "}}"),
}
_DOT_SHAPES: Final[dict[Kind, str]] = {"step": "", "sleep": " shape=ellipse", "wait": " shape=hexagon"}


# ------------------------------------------------------------------------------------------------- nodes and edges


def _all_of(nodes: Iterable[Node]) -> dict[_Key, Node]:
    """What is drawn, in order: the nodes, and then those that they name. Of two with one path the later counts."""
    drawn = {(node.kind, node.path): node for node in nodes}
    named = [path for node in drawn.values() for path in (*_body_of(node), *node.depends)]
    for path in named:
        if ("step", path) not in drawn:
            drawn["step", path] = node = Node(path)
            named += _body_of(node)
    return drawn


def _body_of(node: Node) -> tuple[Path, ...]:
    """The step in whose body it is, if it is in one."""
    return (node.path[:-1],) if len(node.path) > 1 else ()


def _edges(drawn: dict[_Key, Node]) -> Iterator[tuple[int, int, bool]]:
    """From which number to which, and whether the latter is in the former's body. Each once."""
    numbers = {key: number for number, key in enumerate(drawn)}
    for head, node in enumerate(drawn.values()):
        for body in _body_of(node):
            yield numbers["step", body], head, True
        for needed in dict.fromkeys(node.depends):
            yield numbers["step", needed], head, False


# ------------------------------------------------------------------------------------------------------------ text


def _lines_of(node: Node) -> list[str]:
    """What stands in its box, after the mark."""
    first, *others = _visible(node.label).split("\n")
    about = [word for word in (_KINDS[node.kind], None if node.seconds is None else shown(node.seconds)) if word]
    return [first or '""', *others, *([" ".join(about)] if about else [])]


_KINDS: Final[dict[Kind, str]] = {"step": "", "sleep": "sleep", "wait": "wait for event"}


def _visible(text: str) -> str:
    """A text without what neither HTML nor XML can hold. Whatever ends a line becomes a newline."""
    return _NO_TEXT.sub(_picture, "\n".join(text.splitlines()))


_NO_TEXT: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _picture(match: re.Match[str]) -> str:
    """Unicode has a picture for each control character of ASCII."""
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def _for_mermaid(line: str) -> str:
    return _NOT_FOR_MERMAID.sub(_entity, line)


#: All but letters, digits, single spaces, and those marks between letters that are so common in names that entities
#: would make the source unreadable; and all spaces that HTML would swallow.
_NOT_FOR_MERMAID: Final = re.compile(r"[^\w ./-]|\ufb02|(?<![^\W_])[_./-]|[_./-](?![^\W_])|(?<![^ ]) | \Z")


def _entity(match: re.Match[str]) -> str:
    if match[0] == " ":
        return "#160;"
    # Mermaid marks an entity's beginning and end by these, each with a sign that may follow in a name: keep them apart.
    apart = "#8288;" if match[0] in "\ufb02\xb6" else ""
    return f"#{ord(match[0])};{apart}"


def _for_dot(line: str) -> str:
    r"""In a quoted text of DOT a backslash begins an escape, and in a label entities are those of HTML."""
    return line.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
