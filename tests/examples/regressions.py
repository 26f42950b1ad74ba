"""Regressions of the helpline, as changes of its source: what a colleague might well commit on a busy day."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a file: what stood there, and what stands there now."""

    file: str
    old: str
    new: str

    def apply(self, folder: Path) -> None:
        """Change the file, in which the old text stands exactly once."""
        path = folder / self.file
        source = path.read_text("utf-8")
        assert source.count(self.old) == 1, f"{self.file} has this {source.count(self.old)} times: {self.old}"
        path.write_text(source.replace(self.old, self.new), "utf-8")


API: Final = "helpline/api.py"
LLM: Final = "helpline/llm.py"
STORE: Final = "helpline/store.py"

STREAM: Final = """\
    async with claude.messages.stream(
        model=FAST,
        max_tokens=300,
        system=[
            {"type": "text", "text": "You answer customers of a small shop by its handbook, in a few sentences."},
            {"type": "text", "text": chapter(department), "cache_control": {"type": "ephemeral"}},
        ],
        messages=[{"role": "user", "content": "\\n".join(questions)}],
    ) as stream:
        async for piece in stream.text_stream:
            yield piece
"""
WHOLE: Final = """\
    message = await claude.messages.create(
        model=FAST,
        max_tokens=300,
        system=[
            {"type": "text", "text": "You answer customers of a small shop by its handbook, in a few sentences."},
            {"type": "text", "text": chapter(department), "cache_control": {"type": "ephemeral"}},
        ],
        messages=[{"role": "user", "content": "\\n".join(questions)}],
    )
    yield text_of(message)
"""

TOGETHER: Final = """\
    queue, summary = await asyncio.gather(
        llm.label(claude, conversation.text), llm.summarize(claude, conversation.text)
    )
"""
IN_TURN: Final = """\
    queue = await llm.label(claude, conversation.text)
    summary = await llm.summarize(claude, conversation.text)
"""

LABEL: Final = """\
    message = await claude.messages.create(
        model=FAST,
        max_tokens=10,
"""
DRAFT: Final = "    return await llm.draft(_claude(request), conversation.text)\n"

ASK_ONCE: Final = """\
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
"""
ASK_UNTIL_ANSWERED: Final = """\
    while True:
        try:
            message = await claude.with_options(max_retries=0).messages.create(
                model=FAST,
                max_tokens=5,
                system="Is this urgent? Answer yes or no.",
                messages=[{"role": "user", "content": ticket}],
            )
        except APIStatusError:
            await asyncio.sleep(0.5)
            continue
        return text_of(message) == "yes"
"""

HEDGED: Final = """\
    calls = {asyncio.create_task(_short_answer(claude, question))}
    done, _ = await asyncio.wait(calls, timeout=HEDGE_AFTER)
    if not done:
        calls.add(asyncio.create_task(_short_answer(claude, question)))
        done, late = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for call in late:
            call.cancel()
    return done.pop().result()
"""

STREAMED_OUT: Final = """\
    pieces = llm.reply(_claude(request), asked.questions, asked.department)
    return StreamingResponse(pieces, media_type="text/plain")
"""
BUFFERED: Final = """\
    pieces = [piece async for piece in llm.reply(_claude(request), asked.questions, asked.department)]
    return StreamingResponse(iter(["".join(pieces)]), media_type="text/plain")
"""

LABEL_FIRST: Final = """\
    claude = _claude(request)
    await llm.label(claude, conversation.text)
    return await llm.draft(claude, conversation.text)
"""
CHAT, DESK, TROUBLE = "chat", "desk", "trouble"


@dataclass(frozen=True, slots=True)
class Regression:
    """A change, the file of tests that is to notice it, and the tests in it that are to fail."""

    edits: tuple[Edit, ...]
    tests: str
    failing: tuple[str, ...]


EACH_CHAT: Final = (
    "test_the_first_words_are_shown_soon",
    "test_an_answer_keeps_coming",
    "test_an_answer_reads_one_chapter_only",
    "test_a_second_question_finds_the_chapter_in_the_cache",
    "test_a_chat_goes_on_while_a_note_is_saved",
)
BRIEF: Final = "test_a_brief_takes_as_long_as_its_longer_half"
EACH_LABEL: Final = (
    *(f"test_a_ticket_gets_its_label[{label}]" for label in ("billing", "shipping", "returns")),
    "test_two_tickets_are_labelled_at_once",
    BRIEF,
)
LATE_SUGGESTION: Final = "test_a_late_suggestion_is_left_out"

REGRESSIONS: Final[dict[str, Regression]] = {
    "streaming_lost": Regression((Edit(LLM, STREAM, WHOLE),), CHAT, EACH_CHAT),
    "no_longer_at_the_same_time": Regression((Edit(API, TOGETHER, IN_TURN),), DESK, (BRIEF,)),
    "bigger_model": Regression((Edit(LLM, LABEL, LABEL.replace("FAST", '"claude-opus-4-8"')),), DESK, EACH_LABEL),
    "longer_prompt": Regression(
        (
            Edit(LLM, 'chapter(department), "cache', '"".join(map(chapter, ARTICLES)), "cache'),
            Edit(LLM, "handbook import chapter", "handbook import ARTICLES, chapter"),
        ),
        CHAT,
        EACH_CHAT,
    ),
    "extra_call": Regression((Edit(API, DRAFT, LABEL_FIRST),), DESK, ("test_a_draft_is_one_call",)),
    "cache_control_dropped": Regression((Edit(LLM, ', "cache_control": {"type": "ephemeral"}', ""),), CHAT, EACH_CHAT),
    "time_out_removed": Regression(
        (Edit(LLM, "max_retries=0, timeout=PATIENCE", "max_retries=0"),), TROUBLE, (LATE_SUGGESTION,)
    ),
    "time_out_too_late": Regression((Edit(LLM, "PATIENCE = 2.0", "PATIENCE = 20.0"),), TROUBLE, (LATE_SUGGESTION,)),
    "retry_without_a_limit": Regression(
        (Edit(LLM, ASK_ONCE, ASK_UNTIL_ANSWERED),), TROUBLE, ("test_a_busy_api_is_told_at_once",)
    ),
    "sleep_in_an_async_handler": Regression(
        (
            Edit(STORE, "await asyncio.sleep(WRITING)", "time.sleep(1.2)"),
            Edit(STORE, "import asyncio\n", "import time\n"),
        ),
        CHAT,
        ("test_a_chat_goes_on_while_a_note_is_saved",),
    ),
    "sync_client_in_an_async_handler": Regression(
        (
            Edit(LLM, LABEL, LABEL.replace("await claude.", "Anthropic().")),
            Edit(LLM, "APITimeoutError, AsyncAnthropic", "APITimeoutError, Anthropic, AsyncAnthropic"),
        ),
        DESK,
        (BRIEF,),
    ),
    "buffers_on_the_way_out": Regression(
        (Edit(API, STREAMED_OUT, BUFFERED),), CHAT, ("test_the_first_words_are_shown_soon",)
    ),
    "client_for_each_call": Regression(
        (
            Edit(
                API,
                "llm.translate(claude, letter.text, language) for",
                "llm.translate(AsyncAnthropic(), letter.text, language) for",
            ),
        ),
        DESK,
        ("test_a_letter_goes_out_in_three_languages",),
    ),
    "hedge_removed": Regression(
        (Edit(LLM, HEDGED, "    return await _short_answer(claude, question)\n"),),
        TROUBLE,
        ("test_an_answer_that_is_late_is_asked_for_again",),
    ),
    "fallback_removed": Regression(
        (Edit(LLM, "for model in (STRONG, FAST)", "for model in (STRONG,)"),),
        TROUBLE,
        ("test_a_refund_is_decided_by_whichever_model_is_free",),
    ),
    "max_tokens_raised": Regression((Edit(LLM, "max_tokens=200", "max_tokens=2000"),), DESK, (BRIEF,)),
    "thinking_turned_on": Regression(
        (
            Edit(
                LLM,
                "        max_tokens=400,\n",
                '        max_tokens=4000,\n        thinking={"type": "enabled", "budget_tokens": 2000},\n',
            ),
        ),
        DESK,
        ("test_a_draft_is_one_call",),
    ),
}
