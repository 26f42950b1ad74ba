"""A question about the return policy: answered at length, and as briefly as the customer needs."""

from __future__ import annotations

from collections.abc import Callable

import anthropic

client = anthropic.Anthropic()

POLICY = """\
Customers may return any item within 30 days of delivery. The item must be complete. We pay the return postage if the
item is faulty, the customer pays it otherwise. Refunds are made within 5 working days after the parcel has reached us,
to the card that was charged."""


def explain_at_length(question: str, show: Callable[[str], None]) -> str:
    prompt = f"""\
You are a very helpful, friendly, polite and professional assistant who works for the support desk of a shop. It is very
important that you always read everything that is given to you carefully, that you think of every aspect of what the
customer asks, and that you leave nothing out. Below you will find our return policy, and below the return policy you
will find a question that a customer has asked. Please answer the question of the customer comprehensively on the basis
of the return policy, explain each point of it in detail with its background, and give examples where they may help.
Write an answer of exactly 150 words.

This is our return policy:

{POLICY}

And this is the question that the customer has asked: {question}"""
    pieces = []
    with client.messages.stream(
        model="claude-haiku-4-5",
        max_tokens=4096,
        messages=[{"role": "user", "content": prompt}],
        extra_body={"temperature": 1.0},
    ) as stream:
        for piece in stream.text_stream:
            show(piece)
            pieces.append(piece)
    return "".join(pieces)


def explain_in_short(question: str, show: Callable[[str], None]) -> str:
    prompt = f"""\
Answer the customer's question from our return policy, in at most three sentences.

Policy: {POLICY}

Question: {question}"""
    pieces = []
    with client.messages.stream(
        model="claude-haiku-4-5",
        max_tokens=200,
        messages=[{"role": "user", "content": prompt}],
        extra_body={"temperature": 0.2},
    ) as stream:
        for piece in stream.text_stream:
            show(piece)
            pieces.append(piece)
    return "".join(pieces)
