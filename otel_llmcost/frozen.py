"""
Frozen dataclasses made fast, for what is made on each span: the constructor and `dataclasses.replace`, in half the time.

The constructor of a frozen dataclass goes through `object.__setattr__` for each field. Here a twin with the same slots,
but without the guard, is filled and then handed to the class of the noun. For dataclasses with slots, and without
`__post_init__`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["changer", "maker"]

P = ParamSpec("P")
N = TypeVar("N")


def maker(noun: Callable[P, N]) -> Callable[P, N]:
    """Give a function that makes the frozen dataclass `noun` as its constructor does."""
    if (scope := _twin_scope(noun)) is None:
        return noun
    scope["_missing"] = MISSING
    parameters, lines = [], []
    for each in fields(cast("Any", noun)):
        scope[f"_default_{each.name}"], scope[f"_make_{each.name}"] = each.default, each.default_factory
        optional = each.default is not MISSING or each.default_factory is not MISSING
        parameters.append(f"{each.name}=_default_{each.name}" if optional else each.name)
        if each.default_factory is not MISSING:
            lines.append(f"if {each.name} is _missing: {each.name} = _make_{each.name}()")
        lines.append(f"made.{each.name} = {each.name}")
    return cast("Callable[P, N]", _written_out(f"*, {', '.join(parameters)}", lines, scope))


def changer(noun: Callable[..., N], *changed: str) -> Callable[..., N]:
    """
    Give a function that copies a `noun` and changes all of these fields, as `dataclasses.replace` does with keywords.

    Where most fields stay it is also faster than `maker`: each keyword of a call costs, each field that is copied hardly.
    """
    if (scope := _twin_scope(noun)) is None:
        return cast("Callable[..., N]", replace)
    lines = [f"made.{each.name} = of.{each.name}" for each in fields(cast("Any", noun)) if each.name not in changed]
    lines += [f"made.{name} = {name}" for name in changed]
    return cast("Callable[..., N]", _written_out(f"of, *, {', '.join(changed)}", lines, scope))


def _twin_scope(noun: object) -> dict[str, object] | None:
    twin = type("Unfrozen", (), {"__slots__": tuple(each.name for each in fields(cast("Any", noun)))})
    try:
        twin().__class__ = noun
    except TypeError:  # a Python that lays these out differently: `dataclasses` is as good, only slower
        return None
    return {"_new": object.__new__, "_twin": twin, "_noun": noun}


def _written_out(parameters: str, lines: list[str], scope: dict[str, object]) -> object:
    body = "\n    ".join(["made = _new(_twin)", *lines, "made.__class__ = _noun", "return made"])
    # Written out as source because that is what makes it fast; `dataclasses` does the same.
    exec(f"def make({parameters}):\n    {body}", scope)  # noqa: S102  # names of our own fields alone
    return scope["make"]
