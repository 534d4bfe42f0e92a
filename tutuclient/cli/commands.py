"""Help texts: flags without a type name beside them."""

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
    """Replace the method of typer's parameters that prints a type name."""


class Command(TyperCommand):
    """A command with our help texts."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, for the help text."""
        params = super().get_params(ctx)
        _bare(params)
        return params


class Group(TyperGroup):
    """A group of commands with our help texts."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, for the help text."""
        params = super().get_params(ctx)
        _bare(params)
        return params
