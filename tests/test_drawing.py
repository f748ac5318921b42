"""Graphs as text: every name is shown as it is, every state can be told without colours, and each line is one thing."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trioflow._drawing import Kind, Node, Path, State, dot, label_of, mermaid
from trioflow._time import shown

STATES: tuple[State, ...] = get_args(State)
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Each has broken some drawing somewhere.
AWKWARD = [
    *('say "hi"', "it's", "a[b](c){d}", "<b>bold</b>", "a<br>b", "<script>alert(1)</script>", "<!-- c -->", "a --> b"),
    *(
        "1. load",
        "- item",
        "+ item",
        "# head",
        "> quote",
        "*a* **b**",
        "__init__",
        "fetch_users",
        "`code`",
        "---",
        "~~~",
    ),
    *("#35;", "#quot;", "&amp; &lt;", "\ufb02°°35¶ß", "%%{init: {}}%%", "%% note", "style x:#fff; y", "classDef a:#b;"),
    *("$$x^2$$", "fa:fa-car", "end", "subgraph", "click n0 call x()", "@{ shape: x }", "a;b|c", "C:\\new\\temp", "\\"),
    *("a\\", "\\N \\G \\l", "日本語 ünï", "👩‍👩‍👧", "  two  spaces ", "line\nbreak", "a\r\nb\u2028c", ""),
]

#: Any text that can be shown; what can't is another test's.
showable = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
names = st.text(showable | st.just("\n"), max_size=12) | st.sampled_from(AWKWARD)


def top(name: str, occurrence: int = 1) -> Path:
    return ((name, occurrence),)


def paths() -> st.SearchStrategy[Path]:
    return st.lists(st.tuples(names, st.integers(1, 3)), min_size=1, max_size=3).map(tuple)


def graphs() -> st.SearchStrategy[list[Node]]:
    nodes = st.builds(
        Node,
        paths(),
        st.sampled_from(STATES),
        st.none() | st.floats(0, 1e6),
        st.lists(paths(), max_size=3).map(tuple),
        kind=st.sampled_from(KINDS),
    )
    return st.lists(nodes, max_size=6)


# ------------------------------------------------------------------------------------- reading it, by the languages' rules


def read_mermaid(text: str) -> dict[int, list[str]]:
    """The lines in each box of a flowchart, by the node's number. Whatever isn't understood fails."""
    boxes = {}
    first, *lines = text.splitlines()
    assert first == "flowchart TD"
    for line in lines:
        if match := re.fullmatch(r'  n(\d+)(\[|\(\[|\{\{)"([^"]*)"(\]|\]\)|\}\}):::([a-z]+)', line):
            # All that means anything to Mermaid, or to the HTML that it makes, is the entities and our line ends.
            pieces = match[3].split("<br>")
            for piece in pieces:
                without = re.sub(r"#[0-9]+;", "", piece)
                assert not set(without) & set("<>&#;\"'`*~$%:@|\\{}[]()^=\ufb02\xb6")
            boxes[int(match[1])] = [re.sub(r"#([0-9]+);", lambda m: chr(int(m[1])), piece) for piece in pieces]
        else:
            assert re.fullmatch(
                r"  n\d+ (-->|-\.->) n\d+|  classDef [a-z]+ fill:#\w{6},stroke:#\w{6},color:#\w{6}\S*( 3)?", line
            )
    return boxes


def read_dot(text: str) -> dict[int, list[str]]:
    """The same of a graph in DOT."""
    boxes = {}
    first, second, *lines, last = text.splitlines()
    assert (first, second.split()[0], last) == ("digraph {", "node", "}")
    for line in lines:
        if match := re.fullmatch(r'  n(\d+) \[label="((?:[^"\\]|\\.)*)"((?: [a-z]+=(?:"[^"\\]*"|[a-z]+))*)\]', line):
            unquoted = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])
            boxes[int(match[1])] = [html.unescape(piece) for piece in unquoted.split("\n")]
        else:
            assert re.fullmatch(r"  n\d+ -> n\d+( \[style=dotted\])?", line)
    return boxes


def plain(lines: list[str]) -> list[str]:
    """Without what is there for spaces and for Mermaid only."""
    return [line.replace("\xa0", " ").replace("\u2060", "") for line in lines]


def expected(node: Node) -> list[str]:
    mark = {"running": "► ", "cancelling": "◐ ", "succeeded": "✓ ", "failed": "✗ ", "cancelled": "⊘ "}
    name, occurrence = node.path[-1]
    counted = occurrence > 1 or re.search(r" #[0-9]+\Z", name)
    first, *more = (f"{name} #{occurrence}" if counted else name).splitlines() or [""]
    kind = {"step": [], "sleep": ["sleep"], "wait": ["wait for event"]}[node.kind]
    about = " ".join(kind + ([] if node.seconds is None else [shown(node.seconds)]))
    return [mark.get(node.state, "") + (first or '""'), *more, *([about] if about else [])]


# ------------------------------------------------------------------------------------------------------------ names


@given(graphs())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_every_name_is_shown_as_it_is_with_state_and_seconds_and_each_line_is_one_thing(nodes: list[Node]) -> None:
    wanted = [expected(node) for node in {(node.kind, node.path): node for node in nodes}.values()]
    for boxes in (read_mermaid(mermaid(nodes)), read_dot(dot(nodes))):
        assert [plain(boxes[number]) for number in range(len(wanted))] == [plain(lines) for lines in wanted]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_that_means_something_to_the_language_is_only_a_name(name: str) -> None:
    node = Node(top(name), "failed")
    assert plain(read_mermaid(mermaid([node]))[0]) == plain(read_dot(dot([node]))[0]) == expected(node)


@given(st.lists(st.tuples(names, st.integers(1, 12)), unique=True, max_size=8))
@example([("load", 2), ("load #2", 1), ("load #2 #1", 1), ("load #2", 2)])
def test_no_two_steps_of_one_place_are_called_the_same(places: list[tuple[str, int]]) -> None:
    labels = [label_of((("outer", 1), place)) for place in places]
    assert len(set(labels)) == len(places)
    for (name, occurrence), label in zip(places, labels, strict=True):
        if "#" not in name:
            assert label == (name if occurrence == 1 else f"{name} #{occurrence}")


def test_what_no_page_can_hold_is_shown_by_its_picture() -> None:
    node = Node(top("\x00\t\x1b[31m\x7f\x9b\ud800\uffff"))
    assert read_mermaid(mermaid([node])) == read_dot(dot([node])) == {0: ["␀␉␛[31m␡\ufffd\ufffd\ufffd"]}
    mermaid([node]).encode(), dot([node]).encode()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("1. load", "1#46; load"),
        ("- item", "#45; item"),
        ("__init__", "#95;#95;init#95;#95;"),
        ("a/ .b", "a#47; #46;b"),
        ("  two  spaces ", "#160;#160;two #160;spaces#160;"),
    ],
)
def test_what_markdown_and_html_would_make_something_of_is_written_as_entities(name: str, written: str) -> None:
    """Mermaid 11.4 takes a label for Markdown, and all of its versions give HTML the spaces to swallow."""
    assert f'"{written}"' in mermaid([Node(top(name))])


def test_what_mermaid_takes_for_the_ends_of_its_entities_is_kept_apart() -> None:
    ((shown,),) = read_mermaid(mermaid([Node(top("\ufb02°°35\xb6ß"))])).values()
    assert shown == "\ufb02\u2060°°35\xb6\u2060ß"


def test_the_source_stays_readable_where_names_are_ordinary() -> None:
    assert '"fetch_users v1.2 a/b c-d"' in mermaid([Node(top("fetch_users v1.2 a/b c-d"))])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz isn't installed")
def test_graphviz_shows_each_name_as_it_is() -> None:
    nodes = [Node(top(name)) for name in AWKWARD]
    done = subprocess.run(["dot", "-Tsvg"], input=dot(nodes).encode(), capture_output=True, check=True)
    assert done.stderr == b""
    svg = "{http://www.w3.org/2000/svg}"
    drawn = {
        group.findtext(f"{svg}title"): [text.text or "" for text in group.iter(f"{svg}text")]
        for group in ET.fromstring(done.stdout).iter(f"{svg}g")
        if group.get("class") == "node"
    }
    assert [plain(drawn[f"n{number}"]) for number in range(len(nodes))] == [expected(node) for node in nodes]


# ----------------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("draw", [mermaid, dot])
def test_states_differ_in_more_than_colour(draw: Any) -> None:
    boxes = [(read_mermaid if draw is mermaid else read_dot)(draw([Node(top("x"), state)]))[0][0] for state in STATES]
    assert len(set(boxes)) == len(STATES)
    colours = [tuple(re.findall(r"#\w{6}", draw([Node(top("x"), state)]))) for state in STATES]
    assert len(set(colours)) == len(STATES)


@pytest.mark.parametrize("draw", [mermaid, dot])
def test_steps_sleeps_and_waits_differ_in_shape_and_may_have_the_same_path(draw: Any) -> None:
    drawn = draw([Node(top("x"), kind=kind) for kind in KINDS])
    lines = [line for line in drawn.splitlines() if re.match(r"  n\d", line)]
    shapes = {re.sub(r'n\d|"[^"]*"', "", line.replace('"rounded,filled"', "")) for line in lines}
    assert len(shapes) == len(KINDS) == len(lines)


# ------------------------------------------------------------------------------------------------------------ edges


def edges(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if re.match(r"  n\d+ -", line)]


def test_arrows_go_from_a_step_to_those_that_need_it_once_each() -> None:
    nodes = [Node(top("a")), Node(top("b"), depends=(top("a"), top("a"))), Node(top("c"), depends=(top("b"), top("a")))]
    assert edges(mermaid(nodes)) == ["n0 --> n1", "n1 --> n2", "n0 --> n2"]
    assert edges(dot(nodes)) == ["n0 -> n1", "n1 -> n2", "n0 -> n2"]


def test_what_is_declared_in_a_body_hangs_on_it_by_a_dotted_line() -> None:
    nodes = [
        Node(top("outer")),
        Node((*top("outer"), ("inner", 1))),
        Node((*top("outer"), ("inner", 2)), depends=((*top("outer"), ("inner", 1)),)),
        Node((*top("outer"), ("outer", 1)), kind="sleep"),
    ]
    assert edges(mermaid(nodes)) == ["n0 -.-> n1", "n0 -.-> n2", "n1 --> n2", "n0 -.-> n3"]
    assert edges(dot(nodes)) == [
        *("n0 -> n1 [style=dotted]", "n0 -> n2 [style=dotted]", "n1 -> n2", "n0 -> n3 [style=dotted]")
    ]


def test_what_is_only_named_is_drawn_too_with_all_that_it_is_in() -> None:
    text = mermaid([Node(top("a"), depends=((("x", 1), ("y", 1), ("z", 1)),))])
    assert read_mermaid(text) == {0: ["a"], 1: ["z"], 2: ["y"], 3: ["x"]}
    assert edges(text) == ["n1 --> n0", "n2 -.-> n1", "n3 -.-> n2"]


@given(graphs())
def test_every_arrow_has_its_ends_and_the_text_is_always_the_same(nodes: list[Node]) -> None:
    for draw, read in ((mermaid, read_mermaid), (dot, read_dot)):
        text = draw(nodes)
        assert text == draw(list(nodes))
        assert text.endswith("\n")
        assert {int(n) for edge in edges(text) for n in re.findall(r"n(\d+)", edge)} <= set(read(text))


def test_of_two_nodes_of_one_step_the_later_counts() -> None:
    assert read_mermaid(mermaid([Node(top("a"), "running"), Node(top("b")), Node(top("a"), "failed")])) == {
        0: ["✗ a"],
        1: ["b"],
    }


def test_an_empty_graph_is_a_graph() -> None:
    assert mermaid([]) == "flowchart TD\n"
    assert read_dot(dot([])) == {}


def test_nothing_recurses_and_cost_is_linear() -> None:
    chain = [Node(top(f"s{i}"), depends=(top(f"s{i - 1}"),) if i else ()) for i in range(20_000)]
    deep = Node(tuple(("s", 1) for _ in range(2_000)))
    assert len(edges(dot(chain))) == 19_999
    assert len(edges(mermaid([deep]))) == 1_999
