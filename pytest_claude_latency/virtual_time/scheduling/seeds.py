"""Randomness that every virtual world starts over, so that what it decides is decided alike."""

from __future__ import annotations

from typing import Protocol, final


class Pin(Protocol):
    """Something random."""

    def hold(self) -> None:
        """Start it over; called as a world is entered."""

    def release(self) -> None:
        """Let it go on from where it was held."""


@final
class Pins:
    """All of the process."""

    def __init__(self) -> None:
        self._pins: list[Pin] = []
        self._held = False

    def add(self, pin: Pin) -> None:
        """Hold this in every world from now on, the active one included."""
        self._pins.append(pin)
        if self._held:
            pin.hold()

    def hold(self) -> None:
        """A world begins."""
        self._held = True
        for pin in self._pins:
            pin.hold()

    def release(self) -> None:
        """It has ended."""
        self._held = False
        for pin in self._pins:
            pin.release()


PINS = Pins()
