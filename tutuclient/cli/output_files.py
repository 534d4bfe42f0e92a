"""Output files: checked before anything is sent, and never lost once they are paid for."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from tutuclient.cli.output import (
    Spinner,
    human_size,
    image_fields,
    location_of,
    note,
    print_error,
    print_json,
    print_times,
    write,
)
from tutuclient.cli.running import as_options
from tutuclient.errors import ConfigError, ImageDownloadError, printable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from tutuclient.media.image import GeneratedImage


_MOMENT_S = 1.0
_TRIED = 100  # names that are tried for an image beside the one that has its own


class Target(NamedTuple):
    """Where the output is to go.

    Attributes:
        output: A file, a folder, or ``-`` for stdout.
        overwrite: Replace what stands there.
        as_json: JSON is to be printed, so that stdout is taken.
        what: What is saved, for messages: "image" or "audio".
    """

    output: str
    overwrite: bool
    as_json: bool
    what: str = "image"

    @property
    def is_stdout(self) -> bool:
        """True when the output goes to stdout."""
        return self.output == "-"

    @property
    def is_folder(self) -> bool:
        """True when it goes into a folder, under a name of its own."""
        return self.output.endswith(("/", os.sep)) or Path(self.output).is_dir()

    def check(self, count: int = 1, drafts: int = 0) -> None:
        """Check, before anything is paid for, that so many images and drafts can be saved.

        Raises:
            ConfigError: They cannot.
        """
        if self.is_stdout:
            self._check_stdout(drafts)
            return
        path = Path(self.output)
        folder = path if self.is_folder else path.parent
        shown = printable(str(folder))
        if not folder.is_dir():
            raise ConfigError(f"the folder {shown} does not exist: make it first. Nothing was sent")
        # Checked before the order, since an image that cannot be saved has to be paid for all the same.
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"the folder {shown} is not writable. Nothing was sent")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(
                f"{printable(self.output)} is not a file: the {self.what} cannot be saved there. Nothing was sent"
            )
        if self.is_folder or self.overwrite:
            return
        wanted = [self.path(number, count) for number in range(1, count + 1)]
        for each in (*wanted, *(self.draft(number).output for number in range(1, drafts + 1))):
            if os.path.lexists(each):
                raise ConfigError(
                    f"{printable(each)} exists already: choose another name, or pass --overwrite. Nothing was sent"
                )

    def _check_stdout(self, drafts: int) -> None:
        if drafts:
            raise ConfigError("-o - has room for one image: drafts need a file or a folder")
        if self.as_json:
            raise ConfigError("-o - and --json both want stdout: choose one")
        if sys.stdout.isatty():
            raise ConfigError(f"-o - writes the {self.what} to stdout, and stdout is the terminal; name a file")

    def path(self, number: int, count: int) -> str:
        """Return the path of one of several, counted from 1."""
        return self.output if count == 1 else self._beside(str(number))

    def draft(self, number: int) -> Target:
        """Return the target of a draft: beside the output, ``draft`` in its name."""
        return self._replace(output=self._beside(f"draft-{number}"))

    def _beside(self, word: str) -> str:
        """Name a file beside it: ``sky.png`` and "2" make ``sky-2.png``. In a folder each gets a name of its own."""
        if self.is_folder:
            return self.output
        path = Path(self.output)
        return str(path.with_name(f"{path.stem}-{word}{path.suffix}"))

    def conflicting_name(self, mime: str) -> str | None:
        """Return the path that bytes of this type would get, when it exists already; else None."""
        if self.is_folder or self.overwrite:
            return None
        from tutuclient.media.saving import named

        path = Path(self.output)
        name = path.with_name(named(path.name, mime))
        return str(name) if os.path.lexists(name) else None

    def note_suffix(self, place: Path, mime: str | None) -> None:
        """Print a note when the bytes are of another type than the name asked for."""
        asked = "" if self.is_folder else Path(self.output).suffix.lower()
        if asked and asked != place.suffix.lower():
            note(f"the relay sent {mime}, so the extension is {place.suffix}")


class SavedImage(NamedTuple):
    """One image: where it was saved, or why not, and where it is instead.

    Attributes:
        image: The image.
        place: Its file, or its address when it could not be saved, or None for stdout.
        error: Why it is not where it was to be.
        taken: The name that its bytes ask for, which something else has.
    """

    image: GeneratedImage
    place: Path | str | None
    error: ImageDownloadError | None
    taken: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return its fields for ``--json``."""
        more = {"error": self.error.message} if self.error else {}
        return {**image_fields(self.image), "path": str(self.place) if isinstance(self.place, Path) else None, **more}

    def report(self, target: Target) -> None:
        """Print where the image is. It is paid for, so it must be found again."""
        if self.error is not None:
            print_error(as_options(self.error.message.replace("; damaged=True keeps what came", "")))
            note(f"it is paid for and will not be ordered again; it is here: {self.place}")
        elif target.is_stdout and self.place is not None:
            note(f"only the first image goes to stdout; another is here: {self.place}")
        elif isinstance(self.place, Path):
            if self.taken is not None:
                note(f"{printable(self.taken)} exists already, so it is saved beside it")
            if not target.as_json:
                write(f"{self.place}\n")
                target.note_suffix(self.place, self.image.mime)


async def save_images(images: Sequence[GeneratedImage], target: Target, spinner: Spinner) -> list[SavedImage]:
    """Save images one after the other; when stopped, print where each of them is."""
    kept: list[SavedImage] = []
    for number, image in enumerate(images, 1):
        spinner.update(f"saving image {number} of {len(images)}")
        saving = asyncio.create_task(_keep(image, target, number, len(images)))
        try:
            kept.append(await asyncio.shield(saving))
        except asyncio.CancelledError:
            spinner.stop()
            if (last := await _finished(saving)) is not None:
                kept.append(last)
            for each in kept:
                each.report(target)
                if target.as_json and isinstance(each.place, Path):
                    note(f"saved before it was stopped: {each.place}")
            for lost in images[len(kept) :]:
                note(f"not saved, but made and paid for: {location_of(lost)}")
            raise
    return kept


async def _finished(saving: asyncio.Task[SavedImage]) -> SavedImage | None:
    """Return the image that was being saved when the command was stopped; None when it takes longer than a moment.

    A file is moved to its name in a thread, which cancelling does not stop: only its end tells whether it is there.
    """
    with suppress(asyncio.CancelledError):
        await asyncio.wait([saving], timeout=_MOMENT_S)
    saving.cancel()
    with suppress(asyncio.CancelledError, Exception):
        return await saving
    return None


@contextmanager
def warning_if_stopped(spinner: Spinner) -> Generator[None]:
    """Print a note when an order is stopped: the relay may complete and bill it all the same."""
    try:
        yield
    except asyncio.CancelledError:
        spinner.stop()
        note("stopped; the relay may complete and bill the order all the same: check its log")
        raise


def report_saved(kept: Sequence[SavedImage], target: Target, described: dict[str, Any], started: float) -> None:
    """Print where the images are, for a person or as JSON.

    Raises:
        Exit: One of them could not be saved there.
    """
    if target.as_json:
        print_json(described)
    for each in kept:
        each.report(target)
    size = sum(each.image.size_bytes or 0 for each in kept)
    print_times(started, human_size(size), described["model"], described["request_id"])
    # Only now: each image that could be saved has been, and was reported.
    if any(each.error for each in kept):
        raise typer.Exit(8)


async def _keep(image: GeneratedImage, target: Target, number: int, count: int) -> SavedImage:
    """Save an image, or write it to stdout, where there is room for one."""
    wanted = target.path(number, count)
    try:
        if not target.is_stdout:
            return SavedImage(image, await image.save(wanted, overwrite=target.overwrite), None)
        if number > 1:
            return SavedImage(image, await save_to_temp(image), None)
        sys.stdout.buffer.write(await image.read())
        sys.stdout.buffer.flush()
        return SavedImage(image, None, None)
    except ImageDownloadError as error:
        if error.reason == "damaged" and not target.is_stdout:
            return SavedImage(image, await _beside(image, Path(wanted), "damaged"), error)
        cause = error.__cause__
        if not isinstance(cause, FileExistsError) or not cause.filename:
            return SavedImage(image, await save_to_temp(image), error)
        taken = Path(cause.filename)
        place = await _beside(image, taken)
        # The extension follows the bytes, and only now is it known: that its name is taken is not the user's mistake.
        is_saved = taken.name != Path(wanted).name and isinstance(place, Path)
        return SavedImage(image, place, None if is_saved else error, str(taken))


async def _beside(image: GeneratedImage, path: Path, word: str = "") -> Path | str:
    """Save an image next to where it was to be, under a name that is free, damaged as it may be."""
    try:
        return await image.save(_free(path, word), damaged=True)
    except ImageDownloadError as error:
        cause = error.__cause__
        if not isinstance(cause, FileExistsError) or not cause.filename:
            return await save_to_temp(image)
        # The extension follows the bytes: count on from the name that is taken.
        path = path.with_suffix(Path(cause.filename).suffix)
    try:
        return await image.save(_free(path, word), damaged=True)
    except ImageDownloadError:
        return await save_to_temp(image)


def _free(path: Path, word: str) -> Path:
    """Name a file beside one that is taken; of a folder, itself."""
    names = [f"{path.stem}-{word}"] if word else []
    names += [f"{path.stem}-{word}-{number}" if word else f"{path.stem}-{number}" for number in range(2, _TRIED)]
    paths = [path.with_name(f"{name}{path.suffix}") for name in names]
    return path if path.is_dir() else next((each for each in paths if not os.path.lexists(each)), paths[-1])


async def save_to_temp(image: GeneratedImage) -> Path | str:
    """Save an image to the folder for temporary files; return its path, or its URL when that fails too."""
    try:
        return await image.save(f"{tempfile.gettempdir()}/", damaged=True)
    except ImageDownloadError:
        return location_of(image)
