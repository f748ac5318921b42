"""The README's table of differences and the tests of the cases say the same.

It isn't beside the cases because `tests.planted` judges copies of the project by those, and such a copy has no README.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: The cases that a run in memory can show.
CASES = {*range(4, 16), *range(18, 35), 37, 38, *range(39, 53), *range(58, 62), 65, *range(67, 75), 78}


def cases_tested() -> list[tuple[int, str | None]]:
    """Number and docstring of each test of a case. Where there is a docstring, trioflow differs."""
    module = ast.parse((ROOT / "tests/agreement/test_cloudflare_cases.py").read_text())
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    numbers = [(re.match(r"test_case_(\d\d)_", function.name), function) for function in functions]
    return [(int(match[1]), ast.get_docstring(function)) for match, function in numbers if match]


def chapter() -> str:
    _, rest = (ROOT / "README.md").read_text().split("\n## What differs from Cloudflare\n")
    return rest.split("\n## ")[0]


def cases_in_the_table() -> set[int]:
    """Those of the last column. A `P` and a number there is a promise."""
    rows = re.findall(r"^\|.*\| ([^|]*) \|$", chapter(), re.MULTILINE)
    return {int(number) for row in rows for number in re.findall(r"\b\d+\b", row)}


def test_every_case_has_a_test_or_a_row_in_the_readme() -> None:
    assert sorted(CASES - {number for number, _ in cases_tested()} - cases_in_the_table()) == []


def test_what_the_readme_says_differs_is_what_the_tests_say_differs() -> None:
    assert sorted(cases_in_the_table()) == sorted({number for number, docstring in cases_tested() if docstring})


def test_every_row_of_the_table_says_where_it_is_proved() -> None:
    _, _, *rows = [line for line in chapter().splitlines() if line.startswith("|")]
    assert rows
    assert [row for row in rows if not re.search(r"\| P?\d+(, P?\d+)* \|$", row)] == []
    assert [row for row in rows if row.count("|") != 6] == []
