"""Everything that the helpline asks of Claude."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from anthropic import APIStatusError, APITimeoutError, AsyncAnthropic
from anthropic.types import Message

from helpline.handbook import chapter

FAST = "claude-haiku-4-5"
STRONG = "claude-sonnet-4-6"

LABELS = ("billing", "shipping", "returns", "other")
PATIENCE = 2.0  # seconds that somebody who types waits for a suggestion
HEDGE_AFTER = 1.5  # seconds without an answer, after which it is asked for once more


async def label(claude: AsyncAnthropic, ticket: str) -> str:
    """Return the queue that a ticket belongs to."""
    message = await claude.messages.create(
        model=FAST,
        max_tokens=10,
        system=f"Answer with one word: {', '.join(LABELS)}.",
        messages=[{"role": "user", "content": ticket}],
    )
    return text_of(message)


async def summarize(claude: AsyncAnthropic, conversation: str) -> str:
    """Return what a colleague has to know who takes a conversation over."""
    message = await claude.messages.create(
        model=FAST,
        max_tokens=200,
        system="Sum the conversation up for a colleague, in two sentences.",
        messages=[{"role": "user", "content": conversation}],
    )
    return text_of(message)


async def reply(claude: AsyncAnthropic, questions: Sequence[str], department: str) -> AsyncIterator[str]:
    """Yield the answer to the last of a customer's questions, as it is written."""
    async with claude.messages.stream(
        model=FAST,
        max_tokens=300,
        system=[
            {"type": "text", "text": "You answer customers of a small shop by its handbook, in a few sentences."},
            {"type": "text", "text": chapter(department), "cache_control": {"type": "ephemeral"}},
        ],
        messages=[{"role": "user", "content": "\n".join(questions)}],
    ) as stream:
        async for piece in stream.text_stream:
            yield piece


async def draft(claude: AsyncAnthropic, conversation: str) -> str:
    """Return a letter that somebody reads before it leaves."""
    message = await claude.messages.create(
        model=STRONG,
        max_tokens=400,
        system="Write the shop's answer to this customer: warm, honest, at most five sentences.",
        messages=[{"role": "user", "content": conversation}],
    )
    return text_of(message)


async def translate(claude: AsyncAnthropic, letter: str, language: str) -> str:
    """Return a letter in another language."""
    message = await claude.messages.create(
        model=FAST,
        max_tokens=300,
        system=f"Translate the letter into {language}.",
        messages=[{"role": "user", "content": letter}],
    )
    return text_of(message)


async def suggest(claude: AsyncAnthropic, begun: str) -> str | None:
    """Return how a sentence could go on; `None` if that comes too late to be of use."""
    try:
        message = await claude.with_options(max_retries=0, timeout=PATIENCE).messages.create(
            model=FAST,
            max_tokens=40,
            system="Finish the sentence of somebody who answers a customer.",
            messages=[{"role": "user", "content": begun}],
        )
    except APITimeoutError:
        return None
    return text_of(message)


async def is_urgent(claude: AsyncAnthropic, ticket: str) -> bool | None:
    """Return whether a ticket cannot wait; `None` if the API is too busy to say."""
    try:
        message = await claude.with_options(max_retries=0).messages.create(
            model=FAST,
            max_tokens=5,
            system="Is this urgent? Answer yes or no.",
            messages=[{"role": "user", "content": ticket}],
        )
    except APIStatusError:
        return None
    return text_of(message) == "yes"


async def answer(claude: AsyncAnthropic, question: str) -> str:
    """Return a short answer, from whichever of two calls brings it first."""
    calls = {asyncio.create_task(_short_answer(claude, question))}
    done, _ = await asyncio.wait(calls, timeout=HEDGE_AFTER)
    if not done:
        calls.add(asyncio.create_task(_short_answer(claude, question)))
        done, late = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for call in late:
            call.cancel()
    return done.pop().result()


async def _short_answer(claude: AsyncAnthropic, question: str) -> str:
    message = await claude.messages.create(
        model=FAST,
        max_tokens=60,
        system="Answer in one sentence.",
        messages=[{"role": "user", "content": question}],
    )
    return text_of(message)


async def decide(claude: AsyncAnthropic, case: str) -> str:
    """Return whether a refund is due. If the strong model is overloaded, the fast one has to do."""
    for model in (STRONG, FAST):
        try:
            message = await claude.with_options(max_retries=0).messages.create(
                model=model,
                max_tokens=60,
                system="Does the shop owe this customer a refund? One sentence.",
                messages=[{"role": "user", "content": case}],
            )
        except APIStatusError:
            continue
        return text_of(message)
    raise RuntimeError("no model answers")


def text_of(message: Message) -> str:
    """Return the text of an answer."""
    return "".join(block.text for block in message.content if block.type == "text")
