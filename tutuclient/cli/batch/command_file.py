"""What a run was started with, kept in its folder: ``retry`` does the same again, and ``run`` notices what is not."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from tutuclient.cli.batch.sources import absolute, open_source
from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from tutuclient.cli.batch.sources import Source

Task: TypeAlias = Literal["ask", "edit", "generate"]

_NAME: Final = "command.json"
_MODELS: Final[dict[Task, str]] = {"ask": "gpt-4o", "edit": "gpt-4o-image", "generate": "gpt-4o-image"}


@dataclass
class Command:
    """What a run was started with: all that its answers depend on, and where its items come from. No key.

    Attributes:
        names: The arguments that name its items.
        base: The folder that they are relative to.
        prompt: The prompt of items that have none of their own.
        task: What is done with each.
        model: The model; "" is the usual one of the task.
        fields: Fields of the request.
        detail: How closely to look.
        max_side: The longest side of an image.
        schema: The JSON schema of an answer.
        schema_name: Its name.
        dedupe: Whether equal items are asked once.
        base_url: The relay's address, where it was given as an option.
        place: Where the items come from, see ``Source``.
        total: How many there were.
    """

    names: list[str]
    base: str
    prompt: str | None = None
    task: Task = "ask"
    model: str = ""
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    detail: str = "high"
    max_side: int | None = None
    schema: dict[str, Any] | None = None
    schema_name: str = ""
    dedupe: bool = False
    base_url: str | None = None
    place: dict[str, str] = field(default_factory=dict[str, str])
    total: int = 0

    def __post_init__(self) -> None:
        self.model = self.model or _MODELS[self.task]

    def source(self, run: Path) -> Source:
        """Find and count the items.

        Raises:
            ConfigError: They cannot be read; nothing was sent.
        """
        needs = {"prompt"} if self.task == "generate" else {"image"} if self.prompt else {"image", "prompt"}
        found = open_source(self.names, Path(self.base), absolute(str(run), Path.cwd()), needs)
        self.place, self.total = found.place, found.total
        return found

    def map_options(self) -> dict[str, Any]:
        """Return it as keywords of ``client.map``."""
        options: dict[str, Any] = {"model": self.model, **self.fields}
        if self.task != "ask":
            options[self.task] = True
        if self.task != "generate":
            options["detail"] = self.detail
            if self.max_side is not None:
                options["max_side"] = self.max_side
        if self.dedupe:
            options["dedupe"] = True
        if self.schema is not None:
            from tutuclient.cli.batch.schema import answer_type

            options["response_format"] = answer_type(self.schema, self.schema_name)
        return options

    def check(self, run: Path, *, allow_change: bool) -> None:
        """Check that it is of the same items as the run that is there.

        Raises:
            ConfigError: It is not, or the folder cannot be a run's; nothing was sent.
        """
        check_folder(run)
        before = load(run)
        if before is None or allow_change or before.place == self.place:
            return
        shown = " and ".join(_shown(place) for place in (before.place, self.place))
        raise ConfigError(
            f"the run in {printable(str(run))} was begun with other items ({shown}): choose another folder, or pass "
            "--allow-change, and what is not answered under its name and as it is will be asked"
        )

    def save(self, run: Path) -> None:
        """Write it into the run's folder."""
        part = run / f".{_NAME}.part"
        # Names that are not UTF-8 are escapes in JSON, and come back as what they were.
        part.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        part.replace(run / _NAME)


def _shown(place: dict[str, str]) -> str:
    return ", ".join(f"{kind} {printable(path)}" for kind, path in place.items())


def check_folder(run: Path) -> None:
    """Check that a folder can be a run's: it is one, or is empty, or is not there.

    Raises:
        ConfigError: It holds other things, which a run's files must not be mixed with.
    """
    if run.is_dir() and not (run / "run.json").exists():
        with os.scandir(run) as entries:
            others = [entry.name for entry in entries if entry.name not in {"LOCK", ".run.json.part"}]
        if others:
            raise ConfigError(
                f"the folder {printable(str(run))} is not empty and holds no run ({printable(others[0])} is in it): "
                "choose another folder with -o"
            )
    elif run.exists() and not run.is_dir():
        raise ConfigError(f"{printable(str(run))} is not a folder: choose another one with -o")


def load(run: Path) -> Command | None:
    """Read what a run was started with; None where it was not started by this command.

    Raises:
        ConfigError: It cannot be read.
    """
    path = run / _NAME
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name for each in fields(Command)}
        return Command(**{name: value for name, value in found.items() if name in known})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConfigError(
            f"{printable(str(path))} cannot be read ({printable(str(error))}): remove it, and give the whole command "
            "again"
        ) from error
