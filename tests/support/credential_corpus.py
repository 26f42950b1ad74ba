"""A corpus of credentials, none of them real, in the spellings that they are met in, and of what is none.

The forms are those that the public rules of gitleaks and detect-secrets look for, as far as an issuer gave them one.
Each is made here from its beginning and letters that no issuer drew, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable, Mapping
from string import ascii_letters, digits
from urllib.parse import quote

_CHANCE = random.Random(13)


def _drawn(length: int, alphabet: str = ascii_letters + digits) -> str:
    return "".join(_CHANCE.choices(alphabet, k=length - 2)) + "a7"


_HEX = "0123456789abcdef"
TOKENS: Mapping[str, str] = {
    "Anthropic": "sk-" + "ant-api03-" + _drawn(93),
    "OpenAI, project": "sk-" + "proj-" + _drawn(48),
    "OpenAI, older": "sk-" + _drawn(48),
    "AWS key id": "AKI" + "A" + _drawn(14, "ABCDEFGHJKLMNPQRSTUVWXYZ234567").upper()[:14] + "Q7",
    "Bedrock": "ABS" + "K" + _drawn(108),
    "GitHub": "gh" + "p_" + _drawn(36),
    "GitHub, fine-grained": "github" + "_pat_" + _drawn(82),
    "GitLab": "glp" + "at-" + _drawn(20),
    "GitLab, runner": "glr" + "t-" + _drawn(20),
    "Slack": "xox" + "b-" + "2384975628-" + _drawn(24),
    "Google API": "AIz" + "a" + _drawn(35),
    "Google OAuth": "ya2" + "9." + _drawn(60),
    "Google client": "GOCS" + "PX-" + _drawn(28),
    "Google refresh": "1/" + "/0" + _drawn(60),
    "Stripe": "sk_" + "live_" + _drawn(24),
    "Hugging Face": "h" + "f_" + _drawn(34),
    "Groq": "gs" + "k_" + _drawn(52),
    "OpenRouter": "sk-" + "or-v1-" + _drawn(64, _HEX),
    "npm": "np" + "m_" + _drawn(36),
    "PyPI": "pyp" + "i-AgE" + _drawn(80),
    "DigitalOcean": "do" + "p_v1_" + _drawn(64, _HEX),
    "Vault": "hv" + "s." + _drawn(90),
    "SendGrid": "S" + "G." + _drawn(22) + "." + _drawn(43),
    "Telegram": "7104857263:" + "AA" + _drawn(33),
    "Linear": "lin" + "_api_" + _drawn(40),
    "Notion": "nt" + "n_" + _drawn(46),
    "Grafana": "gls" + "a_" + _drawn(41),
    "Shopify": "shp" + "at_" + _drawn(32, _HEX),
    "AWS key id, older": "A3" + "TX" + _drawn(14, "ABCDEFGHJKLMNPQRSTUVWXYZ234567").upper()[:14] + "Q7",
    "Bedrock, short-lived": "bedrock-api" + "-key-YmVkcm9jay5h" + _drawn(120),
    "1Password, service account": "ops" + "_eyJ" + _drawn(260),
    "1Password, secret key": "A" + "3-ASWWYB-798JRY" + "LJVD4-23DC2-86TVM-H43EB",
    "Airtable": "pa" + "t" + _drawn(14) + "." + _drawn(64, _HEX),
    "Alibaba": "LT" + "AI" + _drawn(20),
    "Artifactory": "AK" + "Cp" + _drawn(69),
    "Cloudflare, origin": "v1" + ".0-" + _drawn(24, _HEX) + "-" + _drawn(146, _HEX),
    "Discord": "MT" + _drawn(22) + "." + _drawn(6) + "." + "B" + _drawn(26),
    "Facebook, application": "104938572610394" + "|" + _drawn(30),
    "Facebook, page": "EA" + "AC" + _drawn(150),
    "GitLab, session": "_gitlab" + "_session=" + _drawn(32, _HEX),
    "Grafana, older": "ey" + "JrIjoi" + _drawn(80),
    "Harness": "pa" + "t." + _drawn(22) + "." + _drawn(24) + "." + _drawn(20),
    "Hugging Face, organization": "api" + "_org_" + "".join(_CHANCE.choices(ascii_letters, k=34)),
    "Mailchimp": _drawn(32, _HEX) + "-us" + "12",
    "MaxMind": _drawn(6) + "_" + _drawn(29) + "_" + "mmk",
    "Planetscale": "pscale" + "_pw_" + _drawn(43),
    "Slack, older": "xox" + "a-2-" + _drawn(12),
    "Square": "EA" + "AA" + "xQ" + _drawn(58),
    "Stripe, test": "rk_" + "test_" + _drawn(24),
    "Teams": "https://corp.webhook"
    + ".office.com/webhookb2/3f1c2a9e-8b7d-4c6e-9a5f-1b2c3d4e5f60@3f1c2a9e-8b7d-4c6e-9a5f-"
    "1b2c3d4e5f60/IncomingWebhook/" + _drawn(32, _HEX) + "/3f1c2a9e-8b7d-4c6e-9a5f-1b2c3d4e5f60",
    "Twilio": "S" + "K" + _drawn(32, _HEX),
    "Vault, older": "s" + "." + "K4" + _drawn(22),
    "JSON web token": "ey" + "JhbGciOiJIUzI1NiJ9." + "ey" + "J" + _drawn(40) + "." + _drawn(43),
}
"""What tells by its form what it is."""
NAMED: Mapping[str, str] = {
    "aws_secret_access_key": _drawn(40, ascii_letters + digits + "/+"),
    "aws_session_token": _drawn(320, ascii_letters + digits + "/+"),
    "client_secret": _drawn(32),
    "refresh_token": _drawn(40),
    "api_key": _drawn(32, _HEX),
    "api-key": _drawn(32, _HEX),
    "x-api-key": _drawn(32, _HEX),
    "app_secret": _drawn(32, _HEX),
    "bot_token": _drawn(40),
    "datadog_api_key": _drawn(32, _HEX),
    "heroku_token": "3f1c2a9e-8b7d-4c6e-9a5f-1b2c3d4e5f60",
    "twitch_secret": _drawn(30),
    "password": "T7" + _drawn(12),
    "AccountKey": _drawn(86, ascii_letters + digits + "/+") + "==",
}
"""What only its name tells."""


def _with_a_name(write: Callable[[str, str], str]) -> Callable[[str, str], str]:
    return lambda name, value: write(name or "SOME_TOKEN", value)


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" if place % 3 == 0 else char for place, char in enumerate(text))


def _one_line(name: str, value: str) -> str:
    return f"{name}={value}" if name else value


SPELLINGS: Mapping[str, Callable[[str, str], str]] = {
    "environment": _with_a_name(lambda name, value: f"export {name.upper()}={value}"),
    "ini": _with_a_name(lambda name, value: f"[default]\n{name} = {value}\n"),
    "JSON": _with_a_name(lambda name, value: json.dumps({"a": 1, name: value})),
    "header": _with_a_name(lambda name, value: f"GET / HTTP/1.1\r\n{name}: {value}\r\nhost: x\r\n"),
    "URL query": lambda name, value: f"https://host.test/a?b=1&{name or 'x'}={quote(value, safe='')}&c=2",
    "URL path": lambda name, value: f"https://host.test/bot/{_one_line(name, value)}/get",
    "percent-encoding": lambda name, value: "".join(f"%{byte:02X}" for byte in _one_line(name, value).encode()),
    "JSON escapes": lambda name, value: f'{{"text": "{_escaped(_one_line(name, value))}"}}',
    "UTF-16": lambda name, value: _one_line(name, value).encode("utf-16-le").decode("latin-1"),
    "base64": lambda name, value: b64encode(f"config: {_one_line(name, value)}".encode()).decode(),
}

PLACEHOLDERS = (
    "AKIA" + "IOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "ANTHROPIC_API_KEY=sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "export OPENAI_API_KEY=sk-proj-YOUR_API_KEY_GOES_HERE_1234",
    "api_key: your-api-key-goes-here-12345678",
    "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    "Authorization: Bearer <token>",
    "client_secret=${CLIENT_SECRET_OF_TENANT_1}",
    "password: changeme123",
    "postgres://user:password@localhost/db",
    "GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "refresh_token = {{ refresh_token_of_user_2 }}",
)
HARMLESS = (
    "max_tokens=4096, next_token: none, the token count was 18231 and 20482 of them were cached.",
    "toolu_01A09q90qw90lq917835lq9 msg_013Zva2CMHLNnXjNJJKqJ2EF req_018EeWyXxfu5pfWkrYcMdjWG",
    "sha256:9fceb02d0ae598e95dc970b74767f19372d61af8e3b0c44298fc1c149afbf4c8",
    "api_key_id = 123e4567-e89b-12d3-a456-426614174000, idempotency key 123e4567-e89b-12d3-a456-426614174001",
    "def access_token(self) -> str: return self._access_token or load_access_token_from_the_store()",
    "password: at least 8 characters, one of them a digit",
    "The secret of the 7 dwarfs; a tokenizer for Python 3.12; keys of 4096 bits; passwords are hashed.",
    "if token == refresh_token: raise ValueError('token used twice')",
    "git commit 4b1dcafe0123456789abcdef0123456789abcdef; npm_config_registry=https://host/npm_mirror_of_company",
    "pip install pplx-kernels r8_backend glc_renderer; dapi_version_2026; phx_framework_channel_server_side",
    "4b1dcafe0123456789abcdef0123456789abcdef4b is a hash; EAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA is an empty picture.",
    "linear_key_frames = interpolation.table_of_2026(values); twitch_token = settings.TWITCH_TOKEN_OF_CHANNEL_7",
    "sentry_secret = load_secret('projects/123/9'); discord_token: ${DISCORD_1}; at 1764500000:the_next_event_of_a_log",
    "Model.field.some_value_of_a_configuration; Node.extras.module_of_the_package_2; s.join(names); API-REFERENCE",
    "data:image/png;base64," + b64encode(bytes(_CHANCE.randbytes(3_000))).decode(),
    b64encode(b"A letter to a customer, encoded for the mail: your order 4711 will come on Tuesday.").decode(),
)
