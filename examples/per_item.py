"""Which modules of the standard library are how large? Three steps for each of them, and one that joins them all.

    trioflow run examples/per_item.py
    trioflow run examples/per_item.py --params '{"modules": ["heapq", "bisect"]}'

The steps are declared in a loop, so each function's name stands for several steps. A parameter means the one of its own
iteration: what is parsed as "csv" is the source of "csv". The last step takes however many there are, as `*rows`.
"""

from __future__ import annotations

import ast
import tokenize
from importlib.util import find_spec
from typing import TypedDict

from trioflow import Step, WorkflowEntrypoint, WorkflowEvent, WorkflowStep
from trioflow.executors import Threads

MODULES = ["argparse", "csv", "statistics", "textwrap"]


class Params(TypedDict, total=False):
    """What `--params` may hold."""

    modules: list[str]


class Row(TypedDict):
    """What is known of a module."""

    module: str
    lines: int
    functions: int


class Survey(WorkflowEntrypoint):
    """Measures modules, and compares them."""

    async def run(self, event: WorkflowEvent[Params], step: WorkflowStep) -> list[Row]:
        rows: list[Step[Row]] = []
        for module in event.payload.get("modules", MODULES):

            @step.do(f"read {module}", executor=Threads())
            def source(module: str = module) -> str:  # a default keeps this iteration's value, as in any Python loop
                return source_of(module)

            @step.do(f"parse {module}")
            def tree(source: str) -> ast.Module:
                return ast.parse(source)

            @step.do(f"measure {module}")
            def row(source: str, tree: ast.Module, module: str = module) -> Row:
                functions = sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))
                return Row(module=module, lines=len(source.splitlines()), functions=functions)

            rows.append(row)

        @step.do("compare", depends=rows, concurrent=True)
        def compare(*rows: Row) -> list[Row]:
            largest_first = sorted(rows, key=lambda row: row["lines"], reverse=True)
            for row in largest_first:
                print(f"{row['module']:>12} {row['lines']:5} lines {row['functions']:4} functions")
            return largest_first

        return await compare()


def source_of(module: str) -> str:
    """Raises ModuleNotFoundError if there is no such module, or if it isn't written in Python."""
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ModuleNotFoundError(f"there is no source of a module {module!r}", name=module)
    with tokenize.open(spec.origin) as file:
        return file.read()
