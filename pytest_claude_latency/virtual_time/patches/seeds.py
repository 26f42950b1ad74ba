"""Randomness that starts over in every virtual world, so that each replay takes the same decisions."""

from __future__ import annotations

from typing import Protocol, final


class RandomSource(Protocol):
    """A generator of random numbers whose numbers decide what a program does next."""

    def reset(self) -> None:
        """Start from a fixed seed. Called when a world begins."""

    def restore(self) -> None:
        """Go on from where the source was before `reset`. Called when the world has ended."""


@final
class Seeds:
    """The random sources of the process."""

    def __init__(self) -> None:
        self._sources: list[RandomSource] = []
        self._in_world = False

    def add(self, source: RandomSource) -> None:
        """Reset this source in every world from now on, the active one included."""
        self._sources.append(source)
        # A library that the program imports in the middle of a test adds its source late.
        if self._in_world:
            source.reset()

    def reset(self) -> None:
        """Reset every source: a world begins."""
        self._in_world = True
        for source in self._sources:
            source.reset()

    def restore(self) -> None:
        """Restore every source: the world has ended."""
        self._in_world = False
        for source in self._sources:
            source.restore()


# State of the process, since the sources are: trio has one generator for all its runs.
SEEDS = Seeds()
