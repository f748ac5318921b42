"""Forms, and the files in them."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from trioflow.workers import Blob, File, FormData
from trioflow.workers.forms import BlobEnding, decoded, encoded

#: What a name may hold: a form's names are text without control characters.
names = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=20).filter(
    lambda name: name == name.strip() and "%" not in name and "\\" not in name
)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(names, st.text(st.characters(exclude_categories=("Cs",))) | st.binary())))
def test_a_form_comes_out_of_its_bytes_as_it_was(fields: list[tuple[str, str | bytes]]) -> None:
    form = FormData()
    for name, value in fields:
        form.append(name, value if isinstance(value, str) else File(value, "a.bin", "application/x"))
    again = decoded(*encoded(form))
    assert [(n, v if isinstance(v, str) else trio.run(v.bytes)) for n, v in again.entries()] == [
        (name.replace('"', "%22"), value) for name, value in fields
    ]


def test_quotes_and_line_ends_in_names_are_written_as_browsers_do() -> None:
    form = FormData({'a"b\r\nc': "x"})
    form.append("f", Blob(b"y"))
    body, kind = encoded(form)
    assert b'name="a%22b%0D%0Ac"' in body
    assert b'filename="blob"\r\nContent-Type: application/octet-stream\r\n\r\ny' in body
    message = BytesParser(policy=policy.HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    assert len([*message.iter_parts()]) == 2  # type: ignore[attr-defined]


def test_a_form_is_a_mapping_in_which_a_name_may_occur_several_times() -> None:
    form = FormData({"a": "1", "b": "2"})
    form.append("a", "3")
    assert ([*form], len(form), form["a"], form.get_all("a")) == (["a", "b"], 2, "1", ["1", "3"])
    assert dict(form) == {"a": "1", "b": "2"}
    assert "c" not in form
    assert form.get("c") is None
    form["a"] = "4"
    form.set("c", "5")
    assert [*form.entries()] == [("b", "2"), ("a", "4"), ("c", "5")]
    del form["a"]
    form.delete("never")
    assert [*form.items()] == [("b", "2"), ("c", "5")]
    with pytest.raises(KeyError):
        del form["a"]
    with pytest.raises(KeyError):
        form["a"]
    assert len(FormData.new()) == 0


def test_what_cannot_be_in_a_form_is_refused() -> None:
    value: Any = 3
    with pytest.raises(TypeError, match="field 'a' can't hold int"):
        FormData({"a": value})
    with pytest.raises(TypeError, match="not of int"):
        FormData(value)


async def test_a_form_as_browsers_send_it_without_files() -> None:
    form = decoded(b"a=1&b=x+y&a=", "application/x-www-form-urlencoded; charset=UTF-8")
    assert [*form.entries()] == [("a", "1"), ("b", "x y"), ("a", "")]
    with pytest.raises(TypeError, match="a body of type text/plain is no form"):
        decoded(b"", "text/plain")
    with pytest.raises(TypeError, match="a body of type nobody knows what is no form"):
        decoded(b"", None)


async def test_a_blob_is_bytes_with_a_type() -> None:
    blob = Blob(["é", b"\0", bytearray(b"1"), memoryview(b"2"), Blob("3")], "text/x")
    assert await blob.bytes() == "é\0".encode() + b"123"
    assert (blob.size, blob.content_type, blob.type) == (6, "text/x", "text/x")
    assert await blob.slice(2, 4).bytes() == b"\0" + b"1"
    assert (await blob.arrayBuffer()).byteLength == 6
    assert (Blob(blob).content_type, Blob([blob]).content_type) == ("text/x", "")
    assert await Blob("a\r\nb", endings=BlobEnding.NATIVE).text() == "a\nb"
    with pytest.raises(TypeError, match="a part of a Blob is text, bytes or a Blob, not int"):
        Blob([3])


async def test_a_file_is_a_blob_with_a_name() -> None:
    file = File("x", "a.txt", "text/plain", last_modified=5)
    assert (file.name, file.content_type, file.last_modified, await file.text()) == ("a.txt", "text/plain", 5, "x")
    assert File(b"", "b").last_modified > 1_700_000_000_000
    form = FormData()
    form.append("text", "value", "is no file")
    assert form["text"] == "value"
