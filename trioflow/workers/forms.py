"""Forms, and the files in them: what a body is made of that is more than text.

A form becomes the bytes of a `multipart/form-data` body, and such bytes become a form again. Reading is the standard
library's e-mail parser, whose format it is; writing is ours, since that one changes line ends.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Iterable, Mapping, MutableMapping
from email import policy
from email.parser import BytesParser
from enum import StrEnum
from typing import Any, TypeAlias, cast, final
from urllib.parse import parse_qsl

from .values import JsBuffer


class BlobEnding(StrEnum):
    """What a `Blob` does to the line ends of its texts: nothing, or the platform's."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


class Blob:
    """Bytes with a type: `blob_parts` is text, bytes or another blob, or several of them.

    >>> Blob(["a", b"b"], content_type="text/plain").size
    2

    Raises `TypeError` for a part of another type.
    """

    def __init__(self, blob_parts: Any, content_type: str | None = None, endings: str | None = None) -> None:
        parts = (
            [blob_parts] if isinstance(blob_parts, str | bytes | bytearray | memoryview | Blob) else list(blob_parts)
        )
        self._bytes = b"".join(_bytes_of(part, endings == BlobEnding.NATIVE) for part in parts)
        inherited = blob_parts.content_type if isinstance(blob_parts, Blob) else ""
        self.content_type: str = content_type or inherited

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self._bytes)

    @property
    def type(self) -> str:
        """`content_type`, as JavaScript calls it."""
        return self.content_type

    async def text(self) -> str:  # async because the original's is: what is here needs no waiting
        """What is in it, read as UTF-8. Not a checkpoint, as the others."""
        return self._bytes.decode("utf-8-sig", "replace")

    async def bytes(self) -> bytes:
        """What is in it."""
        return self._bytes

    async def arrayBuffer(self) -> JsBuffer:
        """What is in it, as JavaScript calls it."""
        return JsBuffer(self._bytes)

    def slice(self, start: int | None = None, end: int | None = None, content_type: str | None = None) -> Blob:
        """A part of it."""
        return Blob(self._bytes[start:end], content_type)


def _bytes_of(part: object, native_ends: bool) -> bytes:
    if isinstance(part, Blob):
        return part._bytes
    if isinstance(part, str):
        return (part.replace("\r\n", "\n") if native_ends else part).encode()
    if isinstance(part, bytes | bytearray | memoryview):
        return bytes(part)
    raise TypeError(f"a part of a Blob is text, bytes or a Blob, not {type(part).__name__}")


@final
class File(Blob):
    """A `Blob` with a name."""

    def __init__(
        self,
        blob_parts: Any,
        filename: str,
        content_type: str | None = None,
        endings: str | None = None,
        last_modified: int | None = None,
    ) -> None:
        super().__init__(blob_parts, content_type, endings)
        self.name = filename
        #: In milliseconds since 1970.
        self.last_modified = int(time.time() * 1_000) if last_modified is None else last_modified


#: What a field of a form may hold.
FormDataValue: TypeAlias = str | Blob


@final
class FormData(MutableMapping[str, FormDataValue]):
    """The fields of a form, in order; a name may occur several times, and then `form[name]` is the first.

    >>> form = FormData({"day": "1"})
    >>> form.append("day", "2")
    >>> form["day"], form.get_all("day"), len(form)
    ('1', ['1', '2'], 1)
    """

    def __init__(self, form_data: Mapping[str, FormDataValue] | None = None) -> None:
        if form_data is not None and not isinstance(form_data, Mapping):
            raise TypeError(f"a FormData is made of a dict, not of {type(form_data).__name__}")
        self._fields: list[tuple[str, FormDataValue]] = []
        for name, value in () if form_data is None else form_data.items():
            self.append(name, value)

    @staticmethod
    def new() -> FormData:
        """An empty one, as JavaScript spells it."""
        return FormData()

    def append(self, key: str, value: FormDataValue, filename: str | None = None) -> None:
        """One more field. `filename` is what a blob is called."""
        if not isinstance(value, str | Blob):
            raise TypeError(f"field {key!r} can't hold {type(value).__name__}: only text, a Blob or a File")
        if filename is not None and isinstance(value, Blob):
            value = File(value, filename, value.content_type)
        self._fields.append((key, value))

    def __getitem__(self, key: str) -> FormDataValue:
        for name, value in self._fields:
            if name == key:
                return value
        raise KeyError(key)

    def __setitem__(self, key: str, value: FormDataValue) -> None:
        self.delete(key)
        self.append(key, value)

    set = __setitem__

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.delete(key)

    def delete(self, key: str) -> None:
        """Take out all fields of that name, if there are any."""
        self._fields = [field for field in self._fields if field[0] != key]

    def get_all(self, key: str) -> list[FormDataValue]:
        """All values of one name, in order."""
        return [value for name, value in self._fields if name == key]

    def entries(self) -> Generator[tuple[str, FormDataValue]]:
        """All fields, those of one name one by one."""
        yield from self._fields

    def __iter__(self) -> Generator[str]:
        yield from dict.fromkeys(name for name, _ in self._fields)

    def __len__(self) -> int:
        return len({name for name, _ in self._fields})


def encoded(form: FormData) -> tuple[bytes, str]:
    """A form as the body of a request, and the content type that says where its parts end."""
    boundary = f"----trioflow{secrets.token_hex(16)}"
    lines: list[bytes] = []
    for name, value in form.entries():
        disposition = f'form-data; name="{_quoted(name)}"'
        kind = ""
        if isinstance(value, Blob):
            filename = value.name if isinstance(value, File) else "blob"
            disposition += f'; filename="{_quoted(filename)}"'
            kind = f"\r\nContent-Type: {value.content_type or 'application/octet-stream'}"
        lines.append(f"--{boundary}\r\nContent-Disposition: {disposition}{kind}\r\n\r\n".encode())
        lines.append((value._bytes if isinstance(value, Blob) else value.encode()) + b"\r\n")
    lines.append(f"--{boundary}--\r\n".encode())
    return b"".join(lines), f"multipart/form-data; boundary={boundary}"


def decoded(body: bytes, content_type: str | None) -> FormData:
    """The form that a body is. Raises `TypeError` if its content type says that it is none."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        fields: Iterable[tuple[str, FormDataValue]] = parse_qsl(body.decode(), keep_blank_values=True)
    elif kind == "multipart/form-data":
        message = BytesParser(policy=policy.HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
        fields = map(_field, message.iter_parts())
    else:
        raise TypeError(f"a body of type {kind or 'nobody knows what'} is no form")
    form = FormData()
    for name, value in fields:
        form.append(name, value)
    return form


def _field(part: Any) -> tuple[str, FormDataValue]:
    name = cast(str, part.get_param("name", "", header="content-disposition"))
    content: bytes = part.get_payload(decode=True)
    filename = part.get_filename()
    return name, content.decode() if filename is None else File(content, filename, part.get_content_type())


def _quoted(name: str) -> str:
    """As browsers do it."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
