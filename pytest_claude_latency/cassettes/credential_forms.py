"""The forms of credentials, a table.

It knows credentials by the form that their issuers gave them, not by how random a text looks: images, signatures and
ids look random too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Form(NamedTuple):
    """How a kind of credential is written.

    Only a text that holds a `hint`, in whatever case, is searched for the `pattern`.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _form(kind: str, hints: Iterable[str], pattern: str) -> Form:
    return Form(kind, tuple(hint.lower() for hint in hints), re.compile(pattern))


def _prefixed(kind: str, *prefixes: str, of: str = r"[A-Za-z0-9_-]{20,}") -> Form:
    """Return the form of tokens that begin in a way that nothing else does, and go on with a digit somewhere."""
    begins = "|".join(map(re.escape, prefixes))
    return _form(kind, prefixes, rf"(?<![A-Za-z0-9+_-])(?:{begins})(?=[A-Za-z_+/=-]{{0,40}}\d){of}")


_SECRET_NAMES = (
    r"(?:api[_-]?key|apikey|key|access[_-]?token|auth[_-]?token|id[_-]?token|refresh[_-]?token|token"
    r"|secret|client[_-]?secret|password|passwd|sig|signature|x-(?:amz|goog)-(?:signature|security-token|credential))"
)
SECRET_NAME = re.compile(_SECRET_NAMES, re.IGNORECASE)
PARAMETER = re.compile(rf"""(?i)((?:\A|[?&]){_SECRET_NAMES}=)[^&\s#"'<>]+""")
_ALONE = r"(?<![A-Za-z0-9])"  # not inside a longer word: "task-ant-…" is not a key

_SERVICE_NAMES = (
    "adafruit adobe airtable algolia alibaba artifactory asana atlassian beamer bintray bitbucket bittrex cloudant "
    "cloudflare co_api codecov cohere coinbase confluence confluent contentful contribsys datadog discord drone "
    "dropbox etsy facebook fastly finicity finnhub flickr freshbooks gitter gocardless heroku hubspot ibm intercom "
    "jfrog jira kraken kucoin launchdarkly linear linked-in linked_in linkedin lob looker mailchimp mailgun mapbox "
    "mattermost meraki message-bird message_bird messagebird netlify new-relic new_relic newrelic nytimes okta plaid "
    "private-ai private_ai privateai rapidapi sendbird sentry snyk softlayer sonar squarespace sumo telegram travis "
    "twitch twitter typeform xray yandex zendesk"
)
SERVICES = tuple(_SERVICE_NAMES.split())
# What documentation writes in the place of a secret: it stops no recording.
PLACEHOLDER = re.compile(
    r"example|placeholder|your[_-]|dummy|change_?me|redacted|(?:\A|[^a-z])(?:fake|test_?key|sample)(?:[^a-z]|\Z)"
    r"|x{6,}|0{10,}|\*{3}|\.\.\.",
    re.IGNORECASE,
)

FORMS = (
    # Console and OAuth keys are sk-ant-<kind><version>-<secret>.
    _form("an Anthropic key", ["sk-ant-"], _ALONE + r"sk-ant-[A-Za-z0-9_-]{8,}"),
    # Newer keys name their kind; older ones are alphanumeric and hold a digit, as no word does.
    _form("an OpenAI key", ["sk-proj-", "sk-svcacct-", "sk-admin-"], _ALONE + r"sk-[a-z]+-[A-Za-z0-9_-]{20,}"),
    _form("an OpenAI key", ["sk-"], _ALONE + r"sk-(?=[A-Za-z]{0,99}\d)[A-Za-z0-9]{32,}"),
    # Key ids are four letters that say of what, then sixteen of base 32.
    _form(
        "an AWS access key id",
        ["AKIA", "ASIA", "ABIA", "ACCA", "A3T"],
        r"(?<![A-Za-z0-9+])(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}(?![A-Za-z0-9+=])",
    ),
    # The secret has no form of its own; the names that AWS's tools give it do.
    _form("an AWS secret key", ["secret"], r"(?i)secret[_-]?access[_-]?key\W{1,7}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"),
    # Elsewhere a name says whose it is, and a secret has exactly so many characters.
    _form(
        "an AWS secret key",
        ["aws"],
        r"""(?i)(?<![a-z])aws[\w.-]{0,20}(?:key|secret|token|pwd?|pass(?:word)?)["']?[ \t]{0,8}[=:>]{1,2}"""
        r"""[ \t]{0,8}["']?"""
        r"(?=[a-z/+]{0,39}\d)(?=[\d/+]{0,39}[a-z])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    ),
    _form(
        "an AWS session token",
        ["token"],
        r"(?i)(?:session|security)[_-]?token\W{1,7}(?=[A-Za-z/+]{0,99}\d)[A-Za-z0-9/+]{100,}",
    ),
    _form("a Bedrock API key", ["ABSK"], _ALONE + r"ABSK[A-Za-z0-9+/]{40,}"),
    # A short-lived one is a signed URL of bedrock.amazonaws.com in base64.
    _form("a Bedrock API key", ["bedrock-api-key-"], _ALONE + r"bedrock-api-key-YmVkcm9jay5h[A-Za-z0-9+/=]{10,}"),
    _form("a signature of AWS", ["signature="], r"(?i)AWS4-HMAC-SHA256\b[^\n]{1,400}?\bSignature=[0-9a-f]{64}"),
    # The third letter says whether it is a personal, OAuth, user, server or refresh token.
    _form(
        "a GitHub token", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], _ALONE + r"gh[pousr]_(?=[A-Za-z_]{0,40}\d)\w{30,}"
    ),
    _form("a GitHub token", ["github_pat_"], _ALONE + r"github_pat_[A-Za-z0-9_]{22,}"),
    _prefixed(
        "a GitLab token",
        "glpat-",
        "glrt-",
        "gldt-",
        "glptt-",
        "glcbt-",
        "glsoat-",
        "glagent-",
        "gloas-",
        "glft-",
        "glimt-",
    ),
    _form("a GitLab token", ["glffct-", "GR1348941"], _ALONE + r"(?:glffct-|GR1348941)[A-Za-z0-9_-]{20,}"),
    # Bot, user, app and refresh tokens; of a webhook the path is the secret.
    _form("a Slack token", ["xox", "xapp-"], r"(?i)(?<![a-z0-9])(?:xox[a-z]-(?=[a-z-]{0,99}\d)|xapp-\d-)[a-z0-9-]{8,}"),
    _form(
        "a Slack webhook",
        ["hooks.slack.com/"],
        r"(?i)hooks\.slack\.com/(?:services|workflows|triggers)/[a-z0-9+/]{16,}",
    ),
    # API keys are exactly 39 characters; inside base64 the neighbours give a chance likeness away.
    _form("a Google API key", ["AIza"], r"(?<![A-Za-z0-9+_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9+=_-])"),
    _form("a Google OAuth token", ["ya29."], _ALONE + r"ya29\.[A-Za-z0-9_-]{20,}"),
    _form("a Google refresh token", ["1//0"], _ALONE + r"1//0[A-Za-z0-9_-]{30,}"),
    _prefixed("a Google client secret", "GOCSPX-"),
    _form(
        "a Stripe key",
        ["k_live_", "k_test_", "k_prod_"],
        _ALONE + r"[rs]k_(?:live|test|prod)_(?=[A-Za-z]{0,40}\d)[A-Za-z0-9]{10,}",
    ),
    _prefixed(
        "a key of another model vendor", "gsk_", "xai-", "pplx-", "r8_", "nvapi-", "fw_", of=r"[A-Za-z0-9_-]{32,}"
    ),
    _form("a key of another model vendor", ["sk-or-v1-"], _ALONE + r"sk-or-v1-[0-9a-f]{32,}"),
    _prefixed("a package registry token", "npm_", "pypi-AgE", "rubygems_", "dckr_pat_", of=r"[A-Za-z0-9_-]{24,}"),
    _prefixed("a token of a cloud", "dop_v1_", "dor_v1_", "doo_v1_", "hvs.", "hvb.", "dp.pt.", "dp.st.", "api_org_"),
    _prefixed("a token of a cloud", "pul-", "dapi", "atlasv1.", "FlyV1 fm", of=r"[A-Za-z0-9+/=_-]{32,}"),
    _prefixed("a token of a cloud", "fo1_", "fm1a_", "fm1r_", "fm2_", "LTAI", "v1.0-", of=r"[A-Za-z0-9+/=_-]{20,}"),
    _prefixed("a token of a cloud", "pscale_tkn_", "pscale_oauth_", "pscale_pw_", of=r"[\w=.-]{30,}"),
    _form("a token of a cloud", ["api_org_"], _ALONE + r"api_org_[A-Za-z]{34}(?![A-Za-z0-9])"),
    _form("a token of a cloud", ["s."], r"(?<![\w.])s\.(?=[A-Za-z]{0,20}\d[A-Za-z]{0,20}\d)[A-Za-z0-9]{24}(?![\w.(-])"),
    _prefixed(
        *("a service's token", "lin_api_", "ntn_", "PMAK-", "glsa_", "NRAK-", "NRII-", "NRJS-", "phx_", "duffel_live_"),
        *("duffel_test_", "EZAK", "EZTK", "HRKU-AA", "pnu_", "rdme_", "tk-us-", "xkeysib-", "sgp_", "shippo_live_"),
        *("shippo_test_", "dt0c01.", "FLWSECK", "p8e-", "shpat_", "shpss_", "shpca_", "shppa_", "sq0atp-", "figd_"),
        *("sha256~", "s-s4t2ud-", "s-s4t2af-", "CLOJARS_", "ico-", "dnkey-", "sm_aat_", "sm_pat_", "sm_sat_", "tfp_"),
        of=r"[\w.=-]{16,}",
    ),
    _prefixed("a service's token", "fio-u-", "sntrys_", "sntryu_", "ATATT3", "glc_", "eyJrIjoi", of=r"[\w+/=-]{32,}"),
    _prefixed("a service's token", "sq0csp-", of=r"[\w\\-]{40,}"),
    _prefixed("a service's token", "ops_eyJ", of=r"[A-Za-z0-9+/]{100,}"),
    _prefixed("a service's token", "API-", of=r"[A-Z0-9]{26}(?![\w-])"),
    _prefixed("a service's token", "sl.", of=r"[\w=-]{130,}"),
    _prefixed("a service's token", "AKCp", of=r"[A-Za-z0-9]{69}(?![A-Za-z0-9+=])"),
    _prefixed("a service's token", "cmVmd", of=r"[A-Za-z0-9]{59}(?![A-Za-z0-9+=])"),
    _form("a service's token", ["FLWSECK_TEST-"], _ALONE + r"FLWSECK_TEST-(?=[a-z]{0,12}\d)[a-z0-9]{12}"),
    _form("a service's token", ["4b1d"], _ALONE + r"4b1d(?=[a-z0-9]{0,37}[A-Z])[A-Za-z0-9]{38}(?![A-Za-z0-9+=])"),
    _form("a service's token", ["SK"], _ALONE + r"SK(?=[a-z]{0,31}\d)[0-9a-z]{32}(?![A-Za-z0-9+=])"),
    _form("a service's token", ["SK"], _ALONE + r"SK(?=[A-Fa-f]{0,31}\d)[0-9A-Fa-f]{32}(?![A-Za-z0-9+=])"),
    _form("a service's token", ["SG."], _ALONE + r"SG\.(?=[A-Za-z_.=-]{0,60}\d)[\w=.-]{66}(?![\w=.-])"),
    _form("a service's token", ["SG."], _ALONE + r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,}"),
    _form("a service's token", ["A3-"], _ALONE + r"A3-[A-Z0-9]{6}-[A-Z0-9-]{11,13}(?:-[A-Z0-9]{5}){3}"),
    _form("a service's token", ["pat"], _ALONE + r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _form(
        "a service's token",
        ["pat.", "sat."],
        _ALONE + r"[ps]at\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}(?![A-Za-z0-9])",
    ),
    _form(
        "a service's token",
        [".acc-", ".acc_"],
        _ALONE + r"[a-z]{2,8}_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}\.acc[_-][A-Za-z0-9-]{10,32}\.[\w+/=-]{30,}",
    ),
    _form("a service's token", ["_mmk"], _ALONE + r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk(?![A-Za-z0-9])"),
    _form("a service's token", ["-us"], _ALONE + r"(?=[a-z]{0,31}\d)[0-9a-z]{32}-us\d{1,2}(?![A-Za-z0-9-])"),
    # The number of a bot or an application, then its secret.
    _form(
        "a service's token", [":"], r"(?<![\w:-])\d{8,10}:(?=[\w-]{0,34}[a-z])(?=[\w-]{0,34}[A-Z])[\w-]{35}(?![\w-])"
    ),
    _form("a service's token", ["|"], _ALONE + r"\d{15,16}\|(?=[A-Za-z_-]{0,40}\d)[A-Za-z0-9_-]{27,40}(?![\w-])"),
    # These begin with the base64 of a number, so the form is checked to the end.
    _form(
        "a service's token",
        ["."],
        r"(?<![\w.+-])[MNO](?=[A-Za-z_-]{0,22}\d)[\w-]{23,25}\.[\w-]{6}\.(?=[\w-]{0,25}[A-Z])[\w-]{27}(?![\w.+=-])",
    ),
    _form("a service's token", ["EAA"], r"(?<![\w+-])EAA[MC](?=[A-Za-z]{0,99}\d)[A-Za-z0-9]{100,400}(?![\w+=-])"),
    _form(
        "a service's token",
        ["EAAA"],
        r"(?<![\w+-])EAAA(?=[A-Z_a-z-]{0,50}\d)(?=[\d_A-Z-]{0,50}[a-z])(?=[\d_a-z-]{0,50}[A-Z])[\w-]{22,60}(?![\w+=-])",
    ),
    _form(
        "a service's token",
        ["softlayer.com/"],
        r"(?i)softlayer\.com/(?:soap|xmlrpc|rest)/v3(?:\.\d)?/[a-z0-9]{64}(?![a-z0-9])",
    ),
    _form(
        "a service's webhook",
        [".webhook.office.com/"],
        r"(?i)\.webhook\.office\.com/webhookb2/[a-z0-9@-]{36,80}/IncomingWebhook/[a-z0-9]{32}/[a-z0-9-]{36}",
    ),
    _form("a session cookie", ["_gitlab_session="], r"_gitlab_session=(?=[a-z]{0,31}\d)[0-9a-z]{32}"),
    _form(
        "a package registry token", [":_auth"], r"//[^\s:]{1,99}/:_auth(?:Token)?\s{0,9}=\s{0,9}[\w+/-][\w+/=.-]{7,}"
    ),
    _form("a private key", ["PuTTY-User-Key-File-"], r"PuTTY-User-Key-File-\d"),
    _form("a private key", ["AGE-SECRET-KEY-1"], r"AGE-SECRET-KEY-1[A-Z0-9]{50,}"),
    _form(
        "an Azure storage key",
        ["accountkey", "accesskey", "access_key"],
        r"(?i)(?:account|shared_?access)_?key\W{1,7}[A-Za-z0-9+/=]{40,}",
    ),
    _form("an Azure client secret", ["q~"], r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])"),
    _form("a Hugging Face token", ["hf_"], _ALONE + r"hf_[A-Za-z0-9]{34}(?![A-Za-z0-9])"),
    # RFC 7468, and OpenSSH and PGP, which follow it.
    _form("a private key", ["PRIVATE KEY"], r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    _form("a private key", ["PRIVATE KEY"], r"---- BEGIN SSH2 (?:ENCRYPTED )?PRIVATE KEY ----"),
    # RFC 7519: header and claims are JSON objects, so their base64 begins with eyJ.
    _form("a JSON web token", ["eyJ"], _ALONE + r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    # RFC 6750 and 7617; a token has a digit, prose and YOUR_TOKEN_HERE have none.
    _form("a bearer token", ["earer ", "EARER "], r"(?i)\bbearer {1,4}(?=[a-z._~+/=-]{0,99}\d)[\w.~+/=-]{20,}"),
    _form(
        "an authorization",
        ["authorization"],
        r"""(?i)authorization["']?\s{0,3}[:=]\s{0,3}["']?(?:token|api-?key)[ =:]{1,4}"""
        r"(?=[a-z._~+/=-]{0,99}\d)[\w.~+/=-]{16,}",
    ),
    _form(
        "a password for basic authentication",
        ["curl "],
        r"""\bcurl [^\n]{0,200}?(?:-u|--user)[ =]["']?[^\s:"'<>{}$]{1,64}:"""
        r"""(?=[^\s"'\d]{0,64}\d)(?=[^\s"'a-zA-Z]{0,64}[a-zA-Z])[^\s"'<>{}$]{8,64}(?![^\s"'])""",
    ),
    _form("a password for basic authentication", ["asic "], r"(?i)authorization\W{1,5}basic {1,4}[a-z0-9+/]{8,}"),
    _form(
        "an API key header",
        ["api-key"],
        r"""(?i)\bapi-key["']?\s{0,3}[:=]\s{0,3}["']?(?=[a-z._-]{0,99}\d)[\w.-]{16,}""",
    ),
    # In an environment, an ini file, JSON or YAML the name says what it is. The value has a digit and is no uuid.
    _form(
        "a secret by its name",
        ["secret", "token", "api_key", "apikey", "password", "passwd", "access_key", "private_key"],
        r"""(?i)(?:(?:client|app|api|auth|consumer|jwt|session|shared|signing|webhook)_?secret|secret_?key"""
        r"""|(?:refresh|access|auth|api|bearer|bot|deploy|oauth)_?token|api_?key|private_?key|access_?key)["']?"""
        r"""[ \t]{0,8}(?:=>|:=|[=:])[ \t]{0,8}["']?(?![0-9a-f]{8}-)(?=[a-z._/+~-]{0,99}\d)(?=[\d._/+~-]{0,99}[a-z])"""
        r"""[\w.~+/-]{20,}""",
    ),
    # The secrets of these have no form of their own, so the name must tell both whose it is and what it is.
    *(
        _form(
            "a secret by its name",
            [service],
            rf"(?i)(?<![a-z]){service}[\w.-]{{0,24}}?(?:key|token|secret|pass(?:word|wd)?|pwd)"
            r"""["'\]]{0,2}[ \t]{0,8}(?:=>|:=|::|[=:])[ \t]{0,8}["']?(?=(?:[a-z_.=:/+~-]{0,60}\d){2})"""
            r"(?=[\d_.=:/+~-]{0,60}[a-z])[\w.=:/+~%-]{14,}(?![\w.(\[{])",
        )
        for service in SERVICES
    ),
    _form(
        "a password by its name",
        ["password"],
        r"""(?i)<add\s{1,8}key="(?:ClearText)?Password"\s{0,8}value="[^"%${}]{8,200}\"""",
    ),
    _form(
        "a password by its name",
        ["password", "passwd"],
        r"""(?i)pass(?:word|wd)["']?[ \t]{0,3}(?:=>|:=|[=:])[ \t]{0,3}["']?"""
        r"""(?=[^\s"'\d]{0,50}\d)(?=[^\s"'a-z]{0,50}[a-z])[^\s"'<>{}()\[\]$&;,]{8,64}(?![^\s"'&;,])""",
    ),
    # user:password@host, unless the password is a word that stands for one.
    _form(
        "a URL with a password",
        ["://"],
        r"""(?i)://[^\s/:@"'<>]{1,99}:(?!(?:pass(?:word|wd)?|secret|pwd?|x+|\.+|\*+)@)[^\s/:@"'<>{}$]{3,199}@(?=[\w.-])""",
    ),
    _form(
        "a URL with a key",
        ["key=", "oken=", "ecret=", "sig=", "nature=", "word=", "passwd=", "dential="],
        rf"""(?i)[?&]{_SECRET_NAMES}=(?=[^&\s#"'<>]{{0,99}}\d)[^&\s#"'<>{{}}]{{16,}}""",
    ),
)
