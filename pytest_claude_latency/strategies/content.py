"""The content of a generated answer: its blocks, their deltas, and how many tokens they count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

from pytest_claude_latency.messages_api import message
from pytest_claude_latency.messages_api.message import Block, Json, Message
from pytest_claude_latency.strategies.envelope import Envelope, Range

# More than ASCII: bytes and characters differ, JSON has to escape, and a cut may lie inside a character.
_WORDS = ["Hello", " there", ".", " 日本語", "🙂", "\n\n", '"é\\']
# Without surrogates, which have no UTF-8.
_PIECE = st.sampled_from(_WORDS) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NAMES = st.text("abcdefghijkmnopqrstuvwxyz", min_size=8, max_size=8)
_INPUT = st.dictionaries(
    st.sampled_from(["order", "city", "größe"]), st.none() | st.booleans() | st.integers() | _PIECE, max_size=2
)


@st.composite
def messages(draw: st.DrawFn, envelope: Envelope) -> Message:
    """Make an answer with at least one piece of content that is not thinking."""
    thinks = draw(st.booleans()) if envelope.thinking is None else envelope.thinking
    uses_tools = draw(st.booleans()) if envelope.tools is None else envelope.tools
    blocks: list[Block] = []
    for _ in range(draw(st.integers(1, 2)) if thinks else 0):
        # Hidden thinking is a signature alone. So the first event of an answer may bring no token.
        kind = draw(st.sampled_from(["shown", "hidden", "redacted"]))
        if kind == "redacted":
            blocks.append(message.redacted_thinking_block(draw(NAMES)))
        else:
            pieces = draw(_pieces(envelope.deltas)) if kind == "shown" else ()
            blocks.append(message.thinking_block(pieces, signature=draw(NAMES)))
    if uses_tools and draw(st.booleans()):
        # A server's search brings content that no delta carries, between blocks that have some.
        search = f"srvtoolu_{draw(NAMES)}"
        query = draw(_cut(json.dumps({"query": draw(_PIECE)}, ensure_ascii=False), 2))
        blocks.append(message.tool_use_block("server_tool_use", search, "web_search", query))
        blocks.append(message.search_result_block(search, draw(st.lists(NAMES, max_size=1))))
    for _ in range(draw(st.integers(0 if uses_tools else 1, 2))):  # the use of a tool may stand alone
        cited = draw(st.lists(st.builds(message.citation, _PIECE), max_size=1))
        blocks.append(message.text_block(draw(_pieces(envelope.deltas)), cited))
    if uses_tools:
        blocks += [draw(_tool_uses(envelope)) for _ in range(draw(st.integers(1, 2)))]
    reason = "tool_use" if uses_tools else draw(st.sampled_from(["end_turn", "max_tokens", "stop_sequence"]))
    return Message(
        id=f"msg_{draw(NAMES)}",
        model=envelope.model,
        blocks=tuple(blocks),
        stop_reason=reason,
        stop_sequence="###" if reason == "stop_sequence" else None,
        usage=draw(_usages(blocks, thinks)),
        at_start=draw(st.integers(1, 8)),
    )


@st.composite
def _pieces(draw: st.DrawFn, deltas: Range) -> list[str]:
    """Make as many pieces as allowed, and sometimes an empty one before the first: the API sends those too."""
    pieces = draw(st.lists(_PIECE, min_size=deltas.least, max_size=deltas.most))
    return ["", *pieces] if draw(st.booleans()) else pieces


@st.composite
def _tool_uses(draw: st.DrawFn, envelope: Envelope) -> Block:
    """Make the use of one of the given tools, or of one that is made up."""
    # A made-up tool has a made-up name, as no program has to understand it.
    inputs = envelope.tool_inputs or {draw(NAMES): _INPUT}
    name = draw(st.sampled_from(sorted(inputs)))  # sorted, so that a shrunk example does not depend on the mapping
    text = json.dumps(draw(inputs[name]), ensure_ascii=False)
    pieces = draw(_cut(text, envelope.deltas.most - 1))
    return message.tool_use_block("tool_use", f"toolu_{draw(NAMES)}", name, pieces)


@st.composite
def _cut(draw: st.DrawFn, text: str, cuts: int) -> list[str]:
    """Cut a text into pieces, none of them empty."""
    places = draw(st.sets(st.integers(1, len(text) - 1), max_size=cuts))
    return [text[start:end] for start, end in pairwise([0, *sorted(places), len(text)])]


@st.composite
def _usages(draw: st.DrawFn, blocks: Sequence[Block], thinks: bool) -> Json:
    """Make token counts that agree with the blocks: a delta that is not empty holds at least one token."""
    deltas = [delta for block in blocks for delta in block.deltas]
    thoughts = sum(bool(delta.get("thinking")) for delta in deltas)
    answered = sum(bool(delta.get("text") or delta.get("partial_json")) for delta in deltas)
    thinking = thoughts + draw(st.integers(1, 500)) if thinks else 0
    # Never less than there are deltas: a rate of tokens would be above what any stream can bring.
    usage: Json = {
        "input_tokens": draw(st.integers(1, 5_000)),
        "cache_creation_input_tokens": draw(st.integers(0, 5_000)),
        "cache_read_input_tokens": draw(st.integers(0, 5_000)),
        "output_tokens": answered + thinking + draw(st.integers(0, 100)),
    }
    if draw(st.booleans()):  # older models do not break thinking out
        usage["output_tokens_details"] = {"thinking_tokens": thinking}
    return usage
