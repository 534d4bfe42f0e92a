"""Real images and audio files, every one that the source distributions of Pillow and mutagen bring.

``tests/real/install files`` fetches and unpacks them. Each is sent through the relay on loopback and comes back, or is
refused by name; each is made smaller as Pillow makes it. Nothing but our own errors may come of any of them.
"""

from __future__ import annotations

import asyncio
import base64
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from tests.conftest import KEY, QUICK
from tutuclient import MediaError, TutuClient, image
from tutuclient.errors import ImageDownloadError
from tutuclient.media.upload import Recording, Upload
from tutuclient.testing import Recorded, Server, raw, says, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

FILES = Path(__file__).parents[2] / ".peers" / "files"
KEPT_BYTES = 2**20
"""What the stand-in keeps of a request's body."""
NO_PICTURES = {".py", ".c", ".txt", ".rst", ".md", ".ttf", ".otf", ".pcf", ".bdf", ".sh", ".toml"}
MIMES = {
    "PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp",
    "BMP": "image/bmp", "TIFF": "image/tiff", "AVIF": "image/avif",
}  # fmt: skip
NAMES = {
    "CUR": "icon or a cursor", "DDS": "DDS", "EPS": "PostScript", "FITS": "FITS", "FLI": "FLI", "HDF5": "HDF5",
    "ICNS": "icons", "ICO": "icon", "JPEG2000": "JPEG 2000", "PPM": "PNM", "PSD": "Photoshop", "QOI": "QOI",
    "SGI": "SGI", "SUN": "Sun", "WMF": "metafile", "XBM": "XBM", "XPM": "XPM", "XVThumb": "PNM",
}  # fmt: skip
SOUNDS = {
    ".aac": {"audio/aac"}, ".aif": {"audio/aiff"}, ".flac": {"audio/flac"}, ".m4a": {"audio/mp4", "video/mp4"},
    ".m4b": {"audio/mp4", "video/mp4"}, ".mp3": {"audio/mpeg"}, ".mp4": {"audio/mp4", "video/mp4"},
    ".ogg": {"audio/ogg"}, ".oggflac": {"audio/ogg"}, ".oggtheora": {"audio/ogg"}, ".opus": {"audio/ogg"},
    ".spx": {"audio/ogg"}, ".wav": {"audio/wav"}, ".wma": {"audio/x-ms-wma"}, ".3g2": {"video/mp4"},
}  # fmt: skip
LOSSLESS = {"PNG", "BMP", "TIFF"}
SIDE = 24


def found(pattern: str) -> list[Path]:
    return sorted(path for path in FILES.glob(pattern) if path.is_file() and path.suffix not in NO_PICTURES)


def run(work: Callable[[TutuClient, Server], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with serve() as server, TutuClient(KEY, server.base_url, retry=QUICK) as client:
            await work(client, server)

    asyncio.run(inside())


def pillow_format(path: Path) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as picture:
                return picture.format
        except Exception:  # noqa: BLE001  (Pillow raises almost anything)
            return None


def is_drawable(data: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Image.open(io.BytesIO(data)).load()
        except Exception:  # noqa: BLE001  (the same)
            return False
    return True


def told(faults: Iterable[str]) -> None:
    assert "\n".join(faults) == ""


def test_the_files_are_there() -> None:
    assert len(found("pillow-*/Tests/images/**/*")) > 900, "run tests/real/install files"
    assert len(found("mutagen-*/tests/data/*")) > 90, "run tests/real/install files"


def test_every_image_is_recognised_as_pillow_recognises_it() -> None:
    faults: list[str] = []

    async def work(_client: TutuClient, _server: Server) -> None:
        for path in found("pillow-*/Tests/**/*"):
            form = pillow_format(path)
            upload = Upload(path)
            try:
                await upload.open()
            except MediaError as error:
                name = NAMES.get(form or "")
                if form in MIMES or (name is not None and name not in str(error) and "not known" not in str(error)):
                    faults.append(f"{path.name} is {form}: {error}")
            else:
                if form is not None and MIMES.get(form) != upload.mime:
                    faults.append(f"{path.name} is {form}: {upload.mime}")

    run(work)
    told(faults)


async def went_out(request: Recorded, upload: Upload, data: bytes) -> bool:
    """Return whether a request held all of a picture, as far as the stand-in keeps requests."""
    if request.size_bytes > KEPT_BYTES:
        return b"".join([piece async for piece in upload.raw_pieces()]) == data
    came: str = request.json["messages"][0]["content"][1]["image_url"]["url"]
    return came == f"data:{upload.mime};base64,{base64.b64encode(data).decode()}"


def test_every_image_goes_out_byte_for_byte_and_comes_back(tmp_path: Path) -> None:
    faults: list[str] = []

    async def work(client: TutuClient, server: Server) -> None:
        for path in found("pillow-*/Tests/**/*"):
            try:
                part = image(path)
                server.reset()
                server.answers(says(f"![made]({server.origin}/v1/files/made)"))
                server.answers(raw(200, path.read_bytes(), {"Content-Type": "image/x"}), path="/v1/files/made")
                answer = await client.edit(part, "as it is")
            except MediaError:
                continue
            data, upload = path.read_bytes(), part.image_url.url
            assert isinstance(upload, Upload)
            if not await went_out(server.requests[-1], upload, data):
                faults.append(f"{path.name} was changed on its way out")
            try:
                kept = await answer.images[0].save(tmp_path / path.stem, overwrite=True)
            except ImageDownloadError as error:
                # What is damaged is not saved as a whole picture; Pillow has to agree.
                if is_drawable(data):
                    faults.append(f"{path.name} was not saved: {error}")
                continue
            if kept.read_bytes() != data or answer.images[0].mime != upload.mime:
                faults.append(f"{path.name} was changed on its way back: {kept.name}, {answer.images[0].mime}")
            kept.unlink()

    run(work)
    told(faults)


def expected(data: bytes) -> Image.Image:
    """Return an image made smaller as Pillow itself does it, with its transparency in a channel."""
    picture: Any = Image.open(io.BytesIO(data))
    if picture.mode.startswith("I;16"):
        # Pillow's own conversion clips what PNG calls the dark half of a per cent to white.
        clear = picture.info.get("transparency")
        grey = picture = picture.convert("I")
        if clear is not None:
            alpha = grey.point([0 if value == clear else 255 for value in range(2**16)], "L")
            picture = Image.merge("LA", (grey.point([value // 256 for value in range(2**16)], "L"), alpha))
    elif picture.mode in {"P", "PA"} or "transparency" in picture.info:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode == "RGBA" and picture.format == "BMP" and picture.getextrema()[3] == (0, 0):
        picture = picture.convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    try:
        upright: Image.Image = ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001  (broken EXIF counts as not turned)
        upright = picture
    return upright


def is_clear(picture: Image.Image) -> bool:
    return picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema() != (255, 255)


def test_every_image_is_made_smaller_as_pillow_makes_it() -> None:
    faults: list[str] = []
    drawn = 0

    async def work(_client: TutuClient, _server: Server) -> None:
        nonlocal drawn
        for path in found("pillow-*/Tests/**/*"):
            data, form = path.read_bytes(), pillow_format(path)
            upload = Upload(data, max_side=SIDE)
            try:
                await upload.open()
            except MediaError as error:
                if form in MIMES and is_drawable(data) and "no image file can hold" not in str(error):
                    faults.append(f"{path.name} ({form}) is refused: {error}")
                continue
            sent = b"".join([piece async for piece in upload.raw_pieces()])
            if sent == data:
                continue
            drawn += 1
            was, now = expected(data), Image.open(io.BytesIO(sent))
            if now.size != was.size:
                faults.append(f"{path.name}: {now.size}, and not {was.size}")
            elif form in LOSSLESS and was.mode not in {"I", "F", "LAB"}:
                as_shown = [each.convert("RGBA").tobytes() for each in (was, now)]
                if as_shown[0] != as_shown[1]:
                    faults.append(f"{path.name} ({was.mode}, {now.format} {now.mode}) looks otherwise")
            if is_clear(was) and not is_clear(now):
                faults.append(f"{path.name} has lost its transparency")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(work)
    told(faults)
    assert drawn > 400


def test_every_audio_file_is_recognised_and_goes_out_byte_for_byte() -> None:
    faults: list[str] = []
    heard = 0

    async def work(client: TutuClient, server: Server) -> None:
        nonlocal heard
        for path in found("mutagen-*/tests/data/*"):
            data, wanted = path.read_bytes(), SOUNDS.get(path.suffix)
            recording = Recording(path)
            try:
                await recording.open()
            except MediaError as error:
                if wanted is not None and data:
                    faults.append(f"{path.name}: {error}")
                continue
            if wanted is not None and recording.mime not in wanted:
                faults.append(f"{path.name}: {recording.mime}")
            heard += 1
            server.reset()
            server.answers(raw(200, b'{"text": "words"}'))
            await client.audio.transcriptions.create(file=path, model="whisper-1")
            (file,) = server.requests[-1].form.files
            if file.content != data[:KEPT_BYTES] or file.size_bytes != len(data):
                faults.append(f"{path.name} was changed on its way out")

    run(work)
    told(faults)
    assert heard > 60
