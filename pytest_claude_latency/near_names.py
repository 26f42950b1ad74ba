"""The name that a user may have meant: the nearest one of those that are accepted."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the name that is most like this one; None if none is as like as `likeness`, of 0 to 1."""
    import difflib  # hardly any run needs it

    return next(iter(difflib.get_close_matches(name, [*map(str, names)], 1, likeness)), None)


def did_you_mean(name: str, names: Iterable[str], *, form: str = "{!r}") -> str:
    """Return `"; did you mean 'overloaded'?"` for a slip in one of the names, and nothing if none is near.

    `form` is how a user writes the name where the wrong one stands.
    """
    near = nearest(name.lower(), names)  # in lower case, so that TTFT is taken for a slip too
    return "" if near is None else f"; did you mean {form.format(near)}?"
