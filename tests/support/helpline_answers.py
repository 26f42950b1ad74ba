"""What the test server answers to the helpline, and how slow, busy or silent it is about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.messages_api.exchange import Request
from tests.support.claude_answers import Answer, silence, status
from tests.support.claude_messages import Text
from tests.support.latency_profiles import count_tokens, profile

ANSWERS: Mapping[str, str] = {
    "who pays for the parcel": (
        "Since the kettle works and you only changed your mind, the postage of 4 euros is yours. Were it faulty, "
        "we would pay it."
    ),
    "kettle back": (
        "Yes, you can: send it back within 30 days of delivery, complete and in its box. As you just find it too "
        "loud, the postage of 4 euros is yours. Your money is with you five days after the parcel is with us."
    ),
    "desk lamp flickers": (
        "I am sorry about that! Your lamp has a guarantee of two years, so we repair it, at no charge. Please send"
        " it to us in any box. Should it flicker again after that, you choose between a new one and your money."
    ),
    "wheel for my scooter": (
        "We keep spare parts of scooters for years. Please tell me the number on its bottom, and I order the "
        "wheel. I cannot name a day, since the maker decides."
    ),
    "parasol came without": (
        "Oh dear! The foot is sent on its own, and may be in a second parcel. If it has not come by tomorrow, "
        "write to us, and we send another one. You need not send anything back."
    ),
    "charged twice": "billing",
    "parcel with the puzzle": "shipping",
    "hose leaks": "returns",
    "toaster's bill": "billing",
    "greenhouse arrive": "shipping",
    "Answer with one word": "shipping",
    "Sum the conversation up": (
        "The blue chair of order B-2207 is with GreenParcel since Monday; from Friday on a neighbour would have to"
        " take it. The green chair has a scratch."
    ),
    "Write the shop's answer": (
        "Thank you for your patience! The blue chair is with GreenParcel, and we have asked them to leave it with "
        "your neighbour. We are sorry about the scratch on the green one: would 10 euros back make up for it?"
    ),
    "into German": (
        "Ihr blauer Stuhl ist unterwegs. Ihr Nachbar in Nummer 14 darf ihn annehmen. Für den Kratzer geben wir "
        "Ihnen 10 Euro zurück."
    ),
    "into French": (
        "Votre chaise bleue est en route. Votre voisin au numéro 14 peut la recevoir. Pour la rayure, nous vous "
        "rendons 10 euros."
    ),
    "into Spanish": (
        "Su silla azul está en camino. Su vecino del número 14 puede recibirla. Por el arañazo le devolvemos 10 euros."
    ),
    "We are sorry that": "your parcel has not reached you yet.",
    "juicer, over the cables": "yes",
    "raised bed": "It leaves on Thursday.",
    "parts of a globe": "We keep them for ten years.",
    "The swing broke": "Yes, the shop owes a refund: it was faulty from the start.",
}
"""The first phrase that the request contains decides."""

BUSY = status(529, should_retry=True, ttfb="180ms")

_asked: dict[str, count[int]] = {}


def answer(request: Request) -> Answer | None:
    """Return what Claude could answer to a request of the helpline; `None` if it is not one of its requests."""
    asked = request.content.decode()
    if "your patience, and" in asked:
        return silence()
    if "is on fire" in asked or ("The swing broke" in asked and "sonnet" in asked):
        return BUSY
    for phrase, text in ANSWERS.items():
        if phrase in asked:
            return _late(phrase, _told(request, asked, text))
    return None


def _told(request: Request, asked: str, text: str) -> Answer:
    model, tokens = request.json["model"], count_tokens(asked)
    name = "sonnet-4.5" if "sonnet" in model else "haiku-4.5"
    pace = profile(name, seed=asked)
    if "cache_control" not in asked:
        return pace.answer(Text(text), prompt_tokens=tokens, model=model)
    # the second question of a conversation finds the chapter that the first one wrote
    read, written = (tokens, 0) if "who pays" in asked else (0, tokens)
    return pace.answer(Text(text), prompt_tokens=40, cache_read=read, cache_write=written, model=model)


def _late(phrase: str, told: Answer) -> Answer:
    """Let the answer about raised beds come late when it is asked for the first time."""
    if phrase != "raised bed" or next(_asked.setdefault(phrase, count())):
        return told
    assert told.unstreamed is not None
    return replace(told, unstreamed=replace(told.unstreamed, ttfb=9000 * MILLISECOND))
