"""OpenTelemetry's names: which figure of a call or a test goes into which instrument.

The conventions for generative AI are still "Development" and change: these names are those of
semantic-conventions-genai before its release 0.1.0, which renamed the first three and the last. They have no time to
first token, so ours stand beside them, under a name of our own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SECONDS: Final = tuple(0.01 * 2**power for power in range(14))
"""The bounds that the conventions ask for durations: 0.01, doubled up to 81.92."""
TOKENS: Final = tuple(float(4**power) for power in range(14))
"""The same for tokens: 1, times four up to 67,108,864."""


class Instrument(NamedTuple):
    """One instrument, and the field of a call that it gets."""

    name: str
    field: str
    text: str
    unit: str = "s"
    bounds: tuple[float, ...] = SECONDS
    """Where the buckets of a histogram end; none for a counter."""
    is_ours: bool = False
    """Whether no convention has it. Such an instrument tells the test too."""


_CALL: Final = "gen_ai.client.operation"
_INFERENCE: Final = "gen_ai.client.inference"

OF_CALLS: Final = (
    Instrument(f"{_CALL}.duration", "total", "Time until the answer was complete."),
    Instrument(f"{_CALL}.time_to_first_chunk", "first_chunk", "Time to the first event of a stream, of any kind."),
    Instrument(f"{_CALL}.time_per_output_chunk", "chunk_gaps", "Time between two events of a stream."),
    *(
        Instrument(f"{_INFERENCE}.usage.{name}", field, f"Number of {text}.", "{token}", ())
        for name, field, text in (
            ("input_tokens", "prompt_tokens", "tokens in prompts, cached ones too"),
            ("output_tokens", "output_tokens", "tokens in answers, thinking too"),
            ("cache_read.input_tokens", "cache_read_tokens", "tokens read from the prompt cache"),
            ("cache_write.input_tokens", "cache_write_tokens", "tokens written to the prompt cache"),
            ("reasoning.output_tokens", "thinking_tokens", "tokens of thinking"),
        )
    ),
    *(
        Instrument(f"{_INFERENCE}.operation.{name}", field, text, "{token}", TOKENS)
        for name, field, text in (
            ("input_tokens", "prompt_tokens", "Tokens in the prompt of a call."),
            ("output_tokens", "output_tokens", "Tokens in the answer of a call."),
        )
    ),
    Instrument("claude_latency.ttft", "ttft", "Time to the first content, thinking included.", is_ours=True),
    Instrument("claude_latency.ttfa", "ttfa", "Time to the first content that is not thinking.", is_ours=True),
)
OF_TESTS: Final = Instrument(
    "gen_ai.workflow.duration", "elapsed", "Time from the first request of a test to the end of its last answer."
)
