"""Help texts: arguments as a manual page writes them, and flags without a type name beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def _bare(params: Iterable[Any]) -> None:
    """Remove ``<bool>`` from flags, and ``<list[str]>`` from arguments, whose metavar says more."""
    for param in params:
        # An empty metavar is printed as nothing; None makes typer print the name of the type.
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
        elif param.param_type_name == "argument":
            param.get_usage_pieces = _usage(param)
            # Set on the parameter, since typer has no option for it; older versions print no type, and lack the method
            # (typer.rich_utils._print_options_panel).
            if hasattr(param, "display_type_rich"):
                param.display_type_rich = _no_type


def _no_type(ctx: object) -> None:
    """Replace the method of typer's parameters that prints a type name."""


def _usage(param: Any) -> Callable[[object], list[str]]:
    """Return a method that writes an argument in the usage line: newer versions of typer put it into braces."""
    shown = param.metavar if param.required else f"[{param.metavar}]"
    return lambda _ctx: [shown]


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
