"""How commands show what they take: a flag is on or off, and needs no name of a type beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterable


def _bare(params: Iterable[Any]) -> None:
    """Remove ``<bool>`` from flags, and ``<list[str]>`` from arguments, whose metavar says more."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
        elif param.param_type_name == "argument" and hasattr(param, "display_type_rich"):
            param.display_type_rich = _no_type


def _no_type(ctx: object) -> None:
    """Stand in for a method of typer's that names a type."""


class Command(TyperCommand):
    """A command of ours."""

    def get_params(self, ctx: Any) -> Any:
        """Return what it takes, for its help."""
        params = super().get_params(ctx)
        _bare(params)
        return params


class Group(TyperGroup):
    """A group of commands of ours."""

    def get_params(self, ctx: Any) -> Any:
        """Return what it takes, for its help."""
        params = super().get_params(ctx)
        _bare(params)
        return params
