"""Randomness that every virtual world starts over, so that what it decides is decided alike."""

from __future__ import annotations

from typing import Protocol, final


class RandomSource(Protocol):
    """Something random."""

    def reset(self) -> None:
        """Start it over; called as a world is entered."""

    def restore(self) -> None:
        """Let it go on from where it was held."""


@final
class Seeds:
    """All of the process."""

    def __init__(self) -> None:
        self._sources: list[RandomSource] = []
        self._held = False

    def add(self, source: RandomSource) -> None:
        """Hold this in every world from now on, the active one included."""
        self._sources.append(source)
        if self._held:
            source.reset()

    def reset(self) -> None:
        """A world begins."""
        self._held = True
        for source in self._sources:
            source.reset()

    def restore(self) -> None:
        """It has ended."""
        self._held = False
        for source in self._sources:
            source.restore()


SEEDS = Seeds()
