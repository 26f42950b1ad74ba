"""The name that a user may have meant: the nearest one of those that are accepted."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, names: Iterable[str], *, form: str = "{!r}") -> str:
    """Return `"; did you mean 'overloaded'?"` for a slip in one of the names, and nothing if none is near.

    `form` is how a user writes the name where the wrong one stands.
    """
    import difflib  # hardly any run needs it

    # in lower case, so that TTFT is taken for a slip too
    near = difflib.get_close_matches(name.lower(), [*map(str, names)], n=1)
    return f"; did you mean {form.format(near[0])}?" if near else ""
