"""The orders of the shop that the support desk may see."""

from __future__ import annotations

from collections.abc import Mapping

_ORDERS: Mapping[str, dict[str, str]] = {
    "A-1042": {"item": "kettle, 1.7 l", "state": "shipped", "carrier": "GreenParcel", "due": "Thursday"},
    "A-1077": {"item": "desk lamp", "state": "refunded", "amount": "€39.90"},
}


def look_up(number: str) -> dict[str, str]:
    return _ORDERS.get(number, {"error": f"there is no order {number}"})
