"""The README's pictures show what the commands under them do today. `python -m tests.pictures` makes them anew."""

from __future__ import annotations

import pytest
from pictures import COMMANDS, FOLDER, ROOT, drawn, words

pytestmark = pytest.mark.slow  # each runs a command on a terminal


@pytest.mark.parametrize("name", COMMANDS)
def test_a_picture_is_what_its_command_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert words(drawn(name)) == words((FOLDER / f"{name}.svg").read_text())


def test_every_picture_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"](examples/pictures/{name}.svg)" not in readme] == []


def test_a_picture_fetches_nothing() -> None:
    for name in COMMANDS:
        svg = (FOLDER / f"{name}.svg").read_text()
        assert "url(http" not in svg
        assert "href" not in svg
