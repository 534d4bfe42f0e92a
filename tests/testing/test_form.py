import hashlib

import aiohttp
import pytest

from tutuclient.testing import Form, form

KIND = "multipart/form-data; boundary=XX"


def body(*parts: str, end: str = "--XX--\r\n") -> bytes:
    return ("".join(f"--XX\r\n{part}\r\n" for part in parts) + end).encode()


def field(name: str, value: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'


async def made(data: aiohttp.FormData) -> Form:
    payload = data()
    writer = _Writer()
    await payload.write(writer)  # type: ignore[arg-type]  # it only writes
    return form.parse(str(payload.headers["Content-Type"]), bytes(writer.data))


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes) -> None:
        self.data += data


async def test_reads_what_aiohttp_writes() -> None:
    content = b"\x89PNG\r\n\x1a\n\r\n--almost\r\n"
    data = aiohttp.FormData()
    data.add_field("model", "gpt-image-1")
    data.add_field("prompt", "戴上帽子")
    data.add_field("image[]", content, filename="图 1.png", content_type="image/png")
    read = await made(data)
    assert read.items == (("model", "gpt-image-1"), ("prompt", "戴上帽子"))
    (file,) = read.files
    assert (file.name, file.filename, file.content_type) == ("image[]", "%E5%9B%BE%201.png", "image/png")
    assert (file.content, file.size_bytes, file.sha256) == (content, len(content), hashlib.sha256(content).hexdigest())


def test_reads_file_names_in_every_spelling() -> None:
    head = 'Content-Disposition: form-data; name="file"; filename'
    parts = [f'{head}="图 1.png"\r\n\r\na', f"{head}*=utf-8''%E5%9B%BE.png\r\n\r\nb", f'{head}="a\\"b.png"\r\n\r\nc']
    parts.append(f"{head}*=klingon''a.png\r\n\r\nd")
    read = [each.filename for each in form.parse(KIND, body(*parts)).files]
    assert read == ["图 1.png", "图.png", 'a"b.png', "a.png"]


def test_keeps_every_value_of_a_name_in_order() -> None:
    read = form.parse(KIND, body(field("a[]", "1"), field("a[]", "2"), field("b", "")))
    assert read.all("a[]") == ["1", "2"]
    assert read.fields == {"a[]": "2", "b": ""}
    assert read.file("a[]") is None


def test_a_file_without_a_type_or_bytes_is_one_too() -> None:
    part = 'Content-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n'
    (file,) = form.parse(KIND, body(part)).files
    assert (file.content_type, file.content) == ("application/octet-stream", b"")


def test_leaves_out_a_part_without_a_name_and_what_stands_around_the_parts() -> None:
    data = b"before\r\n" + body("Content-Type: text/plain\r\n\r\nx", field("a", "1")) + b"after"
    assert form.parse(KIND, data).items == (("a", "1"),)


def test_shortens_long_files_and_keeps_their_size_and_digest() -> None:
    content = b"x" * (2**20 + 5)
    head = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
    read = form.parse(KIND, head + content + b"\r\n--XX--")
    (file,) = read.shortened().files
    assert (len(file.content), file.size_bytes) == (2**20, 2**20 + 5)
    assert file.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("application/json", b"{}", "isn't multipart/form-data"),
        ("", b"", "isn't multipart/form-data"),
        ("multipart/form-data", b"", "no multipart boundary"),
        (KIND, body(field("a", "1"), end=""), "NextPart: EOF"),
        (KIND, b"--XX\r\nno headers\r\n--XX--\r\n", "no end of its headers"),
        (KIND, b"", "NextPart: EOF"),
        (KIND, b"--XX", "NextPart: EOF"),
    ],
)
def test_says_why_a_form_is_invalid(kind: str, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        form.parse(kind, data)
