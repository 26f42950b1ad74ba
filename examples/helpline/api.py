"""The helpline's API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anthropic import AsyncAnthropic
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from helpline import llm, store


class Chat(BaseModel):
    """The questions of a customer to a department, the last one unanswered."""

    department: str
    questions: list[str]


class Text(BaseModel):
    """A ticket, a conversation, a letter: whatever the answer is about."""

    text: str


class Letter(BaseModel):
    """A letter, and the languages of those who get it."""

    text: str
    languages: list[str]


@asynccontextmanager
async def _one_client(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncAnthropic() as claude:
        app.state.claude = claude
        yield


app = FastAPI(title="helpline", lifespan=_one_client)


def _claude(request: Request) -> AsyncAnthropic:
    claude: AsyncAnthropic = request.app.state.claude
    return claude


@app.post("/chat")
async def chat(asked: Chat, request: Request) -> StreamingResponse:
    """Answer a customer, who reads the answer as it is written."""
    pieces = llm.reply(_claude(request), asked.questions, asked.department)
    return StreamingResponse(pieces, media_type="text/plain")


@app.post("/labels")
async def label(ticket: Text, request: Request) -> str:
    """Name the queue of a ticket."""
    return await llm.label(_claude(request), ticket.text)


@app.post("/briefs")
async def brief(conversation: Text, request: Request) -> dict[str, str]:
    """Tell a colleague what a conversation is about."""
    claude = _claude(request)
    queue, summary = await asyncio.gather(
        llm.label(claude, conversation.text), llm.summarize(claude, conversation.text)
    )
    return {"queue": queue, "summary": summary}


@app.post("/drafts")
async def draft(conversation: Text, request: Request) -> str:
    """Draft a letter to a customer."""
    return await llm.draft(_claude(request), conversation.text)


@app.post("/translations")
async def translations(letter: Letter, request: Request) -> dict[str, str]:
    """Translate a letter, one language after the other: the fast model has a low rate limit."""
    claude = _claude(request)
    return {language: await llm.translate(claude, letter.text, language) for language in letter.languages}


@app.post("/suggestions")
async def suggestion(begun: Text, request: Request) -> str | None:
    """Suggest how a sentence goes on."""
    return await llm.suggest(_claude(request), begun.text)


@app.post("/urgent")
async def urgent(ticket: Text, request: Request) -> bool:
    """Say whether a ticket is urgent. The caller asks later if the API is busy."""
    is_urgent = await llm.is_urgent(_claude(request), ticket.text)
    if is_urgent is None:
        raise HTTPException(503, "busy", {"retry-after": "30"})
    return is_urgent


@app.post("/answers")
async def answer(question: Text, request: Request) -> str:
    """Answer a question on the phone, where silence is awkward."""
    return await llm.answer(_claude(request), question.text)


@app.post("/refunds")
async def refund(case: Text, request: Request) -> str:
    """Say whether a refund is due."""
    return await llm.decide(_claude(request), case.text)


@app.post("/notes/{ticket}")
async def note(ticket: str, note: Text) -> int:
    """Keep a note about a ticket."""
    return await store.save_note(ticket, note.text)
