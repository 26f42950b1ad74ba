"""Record the examples without a key, from the test server.

    python -m examples.record [more arguments for pytest]      from the folder above this one

The answers are written by hand. Their times follow measurements of the models. With a key,
`pytest --latency-mode=record examples` records the real API instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_claude_latency.messages_api.exchange import Request
from tests.support import helpline_answers
from tests.support.claude_answers import Answer
from tests.support.claude_messages import Block, Text, ToolUse
from tests.support.claude_server import ClaudeServer
from tests.support.latency_profiles import count_tokens, profile

ROOT = Path(__file__).resolve().parents[1]

FEEDBACK = """\
The customer likes how quiet the kettle is and how it looks, but the parcel came four days late and dented, and a first
mail went unanswered. They would order again if shipping were reliable."""

SUMMARY = """\
**What happened:** Order A-1042 left on Monday with GreenParcel, whose page then said "address unknown", although the
customer has lived there since 1998. We sent the address again and promised delivery by Thursday.

**What is open:** If it has not come by Thursday, the customer wants the €24.90 back. Please ask GreenParcel on
Wednesday: a call is better than a mail."""

STATE = """\
Your kettle is on its way: GreenParcel has it, and it is due on Thursday. If it has not reached you by then, write to us
and we will sort it out at once."""

WARM = """\
We are so sorry that your new desk lamp arrived broken, and glad that the refund has reached you. We would love to send
you one that works: just tell us, and it leaves us today, at no charge for postage."""

FORMAL = """\
Please accept our apologies for the damaged desk lamp of order A-1077, which has been refunded in full. We would be
pleased to dispatch a replacement upon your confirmation. Postage will be borne by us."""

PLACEHOLDER = """\
I don't see any feedback in your message, only the placeholder "[feedback text]". Please share the customer's feedback,
and I'll summarize it in two sentences."""

GRINDER = """\
The customer likes that the coffee grinder grinds evenly and is easy to clean. However, they find it so loud that it
wakes the whole house every morning, and the lid has got a crack after only three weeks."""

AT_LENGTH = """\
Thank you so much for reaching out to us, and I am truly sorry to hear that your new toaster does not heat up!

The good news is that you are well within your rights here. Our return policy gives every customer 30 days from the day
of delivery to send an item back. Since you bought your toaster two weeks ago, you still have plenty of time: if it had
been delivered on the 1st, for example, you could return it until the 31st of the month.

As for the postage, it depends on why an item comes back. If you simply changed your mind, you would cover the return
postage yourself. In your case the toaster is faulty, and so we pay the return postage in full. You do not need to worry
about any costs at all.

Please make sure that the item is complete before you send it. That means that everything that was in the box should go
back into it, for example the crumb tray, the manual, and any accessories that came with it.

Once your parcel has reached us, we will make your refund within 5 working days, to the card that was charged for your
order. So if it reaches us on a Monday, you can expect the refund by the following Monday at the latest.

I hope this answers your question! If there is anything else I can do for you, please do not hesitate to ask."""

IN_SHORT = """\
Yes: you can return the toaster within 30 days of delivery, as long as it is complete. Since it is faulty, we pay the
return postage. You get your money back within 5 working days after it has reached us, on the card that was charged."""

HANDOVER = """\
**What happened:** Of order B-2207 only the green chair has come. The blue one left two days ago as a second parcel with
GreenParcel. The customer is away from Friday on, so we asked GreenParcel to deliver it to a neighbour, Ms Okafor, at
number 14. The green chair has a scratch; the customer keeps it, and asks for something off the price.

**What is open:** GreenParcel has not confirmed the change of address yet: please ask before Friday. Somebody who may
decide on a discount for the scratch has to write to the customer, who was promised a mail for tomorrow."""

# the first phrase that the request contains decides
ANSWERS: Mapping[str, Sequence[Block]] = {
    "[feedback text]": [Text(PLACEHOLDER)],
    "coffee grinder": [Text(GRINDER)],
    "exactly 150 words": [Text(AT_LENGTH)],
    "in at most three sentences.": [Text(IN_SHORT)],
    "order B-2207": [Text(HANDOVER)],
    "Summarize this customer feedback": [Text(FEEDBACK)],
    "I was charged twice": [Text("billing")],
    "Where is my parcel?": [Text("shipping")],
    "The lamp flickers": [Text("returns")],
    "hand support conversations over": [Text(SUMMARY)],
    "tool_result": [Text(STATE)],
    "Where is my order A-1042?": [Text("Let me look that up."), ToolUse("look_up_order", {"number": "A-1042"}, 3)],
    "When are you open?": [Text("Hello! We are open Monday to Friday, nine to five. How can I help you?")],
    "in a warm tone": [Text(WARM)],
    "in a brief tone": [Text("Sorry about the broken lamp! Say the word and a working one leaves us today.")],
    "in a formal tone": [Text(FORMAL)],
}


def answer(request: Request) -> Answer | None:
    """Return what a model could answer to this request, at the speed of its model; `None` if no phrase fits."""
    if (answer_to_helpline := helpline_answers.answer(request)) is not None:
        return answer_to_helpline
    asked = request.content.decode()
    for phrase, blocks in ANSWERS.items():
        if phrase in asked:
            model = request.json["model"]
            name = "sonnet-4.5" if "sonnet" in model else "haiku-4.5"
            return profile(name, seed=asked).answer(*blocks, prompt_tokens=count_tokens(asked), model=model)
    return None


def main(arguments: Sequence[str]) -> int:
    """Run pytest in record mode over the examples, with the test server in place of the API."""
    with ClaudeServer() as server:
        server.answers(answer)
        command = [sys.executable, "-m", "pytest", "--latency-mode=record", "examples", *arguments]
        environment = {**os.environ, "ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "none"}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
