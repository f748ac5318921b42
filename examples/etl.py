"""Files of sales become one database, although the shops are still writing them when we come to read.

    trioflow run examples/etl.py
    trioflow run examples/etl.py --params '{"folder": "exports"}'

Without a folder of yours there is one with samples. A shop that is writing `tea.csv` keeps a `tea.lock` beside it; until
that has gone reading fails, and is tried again after 0.1, 0.2, 0.4 … seconds. What blocks is done in threads, so all the
files are read at the same time, each in a step of its own. They end up in `sales.db`, in the same folder.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from trioflow import Retries, Step, StepConfig, WorkflowEvent, WorkflowStep
from trioflow.executors import Threads

SAMPLES = {  # what the shops write, and how many seconds it takes them
    "airport.csv": ("product,pieces,cents\ntea,2,350\nCake,1,420\n", 0.05),
    "harbour.csv": ("product,pieces,cents\nTea,5,300\ncoffee,3,280\n", 0.15),
    "station.json": ('[{"product": "coffee", "pieces": 4, "cents": 250}]', 0.35),
}


async def sales(event: WorkflowEvent[dict[str, str]], step: WorkflowStep) -> dict[str, float]:
    if "folder" in event.payload:
        return await etl(Path(event.payload["folder"]), step)()
    with TemporaryDirectory() as folder:
        async with trio.open_nursery() as shops:
            for name, (text, seconds) in SAMPLES.items():
                start_writing(Path(folder, name), text)
                shops.start_soon(finish_writing, Path(folder, name), text, seconds)
            totals = await etl(Path(folder), step)()
    return totals


def etl(folder: Path, step: WorkflowStep) -> Step[dict[str, float]]:
    reads = []
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".csv", ".json")):

        @step.do(f"read {path.name}", config=StepConfig(retries=Retries(5, "0.1 seconds")), executor=Threads())
        def read(path: Path = path) -> list[dict[str, str]]:
            if path.with_suffix(".lock").exists():
                raise BlockingIOError(f"{path.name} is still being written")
            text = path.read_text(encoding="utf-8")
            return json.loads(text) if path.suffix == ".json" else [*csv.DictReader(text.splitlines())]

        reads.append(read)

    @step.do("transform", depends=reads, concurrent=True)
    def transform(*files: list[dict[str, str]]) -> list[tuple[str, int]]:
        return [(row["product"].lower(), int(row["pieces"]) * int(row["cents"])) for rows in files for row in rows]

    @step.do("load", depends=[transform], executor=Threads())
    def load(rows: list[tuple[str, int]]) -> dict[str, float]:
        print(f"{len(rows)} sales in {len(reads)} files")
        with closing(sqlite3.connect(folder / "sales.db")) as database, database:
            database.executescript("DROP TABLE IF EXISTS sales; CREATE TABLE sales (product TEXT, cents INTEGER)")
            database.executemany("INSERT INTO sales VALUES (?, ?)", rows)
            return dict(database.execute("SELECT product, sum(cents) / 100.0 FROM sales GROUP BY product"))

    return load


def start_writing(path: Path, text: str) -> None:
    path.with_suffix(".lock").touch()
    path.write_text(text[: len(text) // 2], encoding="utf-8")


async def finish_writing(path: Path, text: str, seconds: float) -> None:
    await trio.sleep(seconds)
    path.write_text(text, encoding="utf-8")  # noqa: ASYNC240 - a few bytes
    path.with_suffix(".lock").unlink()
