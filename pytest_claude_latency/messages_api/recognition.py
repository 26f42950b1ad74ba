"""Recognition: which requests are Claude's. One rule for all client libraries.

A request is Claude's if one of Anthropic's SDK clients sends it, if it goes to Anthropic's own API, or if its URL and
body are those of an endpoint that makes a message by a Claude model. Users add and exclude endpoints by patterns.
Embeddings, and models of other vendors on the same clouds, are none of this package's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import unquote, urlsplit

from pytest_claude_latency.messages_api.endpoints import body_fields, is_message_body, match_of, provider_of
from pytest_claude_latency.messages_api.exchange import Request, header

_ANTHROPICS_HOST = re.compile(r"(?:.+\.)?api\.anthropic\.com|api-[\w-]+\.anthropic\.com")
_LOGIN_PATH = re.compile(r".*/oauth/.*")  # a token is fetched there: nothing to measure, and never to be recorded
_CLAUDE = re.compile(r"claude|anthropic[./]", re.IGNORECASE)
_UNKNOWN_PROFILE: Final = (
    "the inference profile {profile} does not say which model it stands for, so its calls were left alone; "
    "if it is a Claude model, add a line to the ini key latency_endpoints, for example {pattern}"
)


@final
@dataclass(frozen=True)
class EndpointPattern:
    """A user's regular expression over URLs: endpoints that are Claude's, or that are not."""

    pattern: re.Pattern[str]
    excludes: bool

    @staticmethod
    def parse(line: str) -> EndpointPattern:
        """Return what a line says; one that begins with `!` excludes.

        Raises:
            ValueError: the rest of the line is no regular expression.
        """
        text = line.removeprefix("!").strip()
        if not text:
            raise ValueError(f"{line!r} has no regular expression, and would match every URL")
        try:
            return EndpointPattern(re.compile(text), excludes=line.startswith("!"))
        except re.error as error:
            raise ValueError(f"{line!r} is not a regular expression: {error}") from None


@final
class Recognition:
    """Tells which requests are Claude's.

    `patterns` are the user's own; what they exclude is never Claude's. `warn` is called once for each inference profile
    of Bedrock that does not say whether it stands for a Claude model.
    """

    def __init__(
        self, patterns: Sequence[EndpointPattern] = (), warn: Callable[[str], None] = lambda message: None
    ) -> None:
        self._excluded = [pattern.pattern for pattern in patterns if pattern.excludes]
        self._added = [pattern.pattern for pattern in patterns if not pattern.excludes]
        self._warn = warn
        self._unknown_profiles: set[str] = set()

    def is_claudes(self, request: Request) -> bool:
        """Return whether a request, with its body, is Claude's."""
        by_head = self.by_head(request)
        if by_head is not None:
            return by_head
        fields = body_fields(request)
        match provider_of(request):
            case "openai":
                model = fields.get("model")
                return isinstance(model, str) and _CLAUDE.search(model) is not None
            case "bedrock":
                # Claude's own `invoke` has it; other models on Bedrock, and Converse, do not.
                if "anthropic_version" in fields:
                    return True
                match = match_of(request)
                profile = unquote(match["bedrock"]) if match else ""
                # Such a profile may stand for any model. It is left alone, and the user is told how to add it.
                if "inference-profile/" in profile and profile not in self._unknown_profiles:
                    self._unknown_profiles.add(profile)
                    pattern = f"inference-profile(/|%2F){re.escape(profile.rpartition('/')[2])}"
                    self._warn(_UNKNOWN_PROFILE.format(profile=profile, pattern=pattern))
                return False
        return is_message_body(request)

    def by_head(self, head: Request) -> bool | None:
        """Return whether a request is Claude's, from all but its body; `None` if its body has to tell.

        So a door reads the body only of what may be Claude's: it may be a long upload.
        """
        # first, so that a user can take out even what an SDK sends, for example to a stand-in that is no Claude
        if any(pattern.search(head.url) for pattern in self._excluded):
            return False
        if any(pattern.search(head.url) for pattern in self._added) or _is_of_sdk(head) or _is_at_anthropics(head):
            return True
        match = match_of(head) if head.method.upper() == "POST" else None
        if match is None:
            return False
        if match["vertex"]:
            return str(match["before"]).endswith("/publishers/anthropic")
        if match["bedrock"]:
            return True if _CLAUDE.search(unquote(match["bedrock"])) else None
        return None


def _is_of_sdk(head: Request) -> bool:
    """Return whether one of Anthropic's SDK clients sends a request, by the headers that each of them sends.

    Clients of other clouds name no API version there, and a program may give a client a user agent of its own.
    """
    if header(head.headers, "anthropic-version") is not None:
        return True
    if header(head.headers, "x-stainless-lang") is None:
        return False
    # Other vendors' clients are made by the same generator, so the endpoint has to be one of Anthropic's.
    return "anthropic" in (header(head.headers, "user-agent") or "").lower() or (
        head.method.upper() == "POST" and provider_of(head) not in (None, "openai")
    )


def _is_at_anthropics(head: Request) -> bool:
    parts = urlsplit(head.url)
    return _ANTHROPICS_HOST.fullmatch(parts.hostname or "") is not None and not _LOGIN_PATH.fullmatch(parts.path)
