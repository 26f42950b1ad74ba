"""The handbook of the shop: what the people of each department tell customers."""

from __future__ import annotations

ARTICLES = {
    "kitchen": "kettle, toaster, mixer, coffee grinder, espresso machine, rice cooker, waffle iron, blender, juicer, "
    "food processor, slow cooker, deep fryer, contact grill, egg boiler, kitchen scale, bread maker, ice cream maker, "
    "hand mixer, induction plate, raclette grill, vacuum sealer, dehydrator, popcorn maker, milk frother, can opener",
    "lighting": "desk lamp, floor lamp, ceiling lamp, wall lamp, reading lamp, bedside lamp, chandelier, spotlight, "
    "light strip, night light, table lantern, pendant lamp, mirror lamp, picture lamp, clamp lamp, dimmer, daylight "
    "lamp, lava lamp, garland, bulb set, motion sensor, torch, headlamp, candle lamp, workshop lamp",
    "furniture": "dining table, green chair, blue chair, armchair, sofa, bookcase, wardrobe, chest of drawers, bed, "
    "bedside table, desk, office chair, shelf, coat rack, shoe rack, bench, bar stool, side table, mirror, dresser, "
    "cabinet, rocking chair, stool, sideboard, bunk bed",
    "garden": "lawn mower, hedge trimmer, hose, sprinkler, wheelbarrow, spade, rake, greenhouse, parasol, hammock, "
    "garden table, garden chair, fire bowl, compost bin, rain barrel, bird house, trellis, raised bed, leaf blower, "
    "chain saw, pond pump, shed, swing, sandpit, fence",
    "toys": "train set, doll house, puzzle, board game, kite, scooter, tricycle, building blocks, marble run, teddy "
    "bear, play kitchen, toy piano, drum, magic set, chemistry set, telescope, globe, card game, spinning top, yo-yo, "
    "skipping rope, toy boat, racing track, robot, puppet",
}

ENTRY = """\
## {name}
Returns: a {name} can be sent back within {days} days of delivery, complete and in its box. If it is faulty we pay the \
postage; if the customer changed their mind, the postage of {postage} euros is theirs.
Guarantee: {years} years from the day of delivery. We repair a {name} once. If the same fault comes back, the customer \
chooses between a new one and the money.
Delivery: a {name} leaves the warehouse {lead} working days after it was ordered, and takes two more on its way. On \
Saturdays only what was ordered before noon on Thursday is delivered.
Spare parts: they are kept for {kept} years, and ordered by the number on the bottom of the {name}. Please never \
promise a day for them: the maker decides.
"""


def chapter(department: str) -> str:
    """Return what the handbook says about the articles of one department: about 18 kB."""
    names = ARTICLES[department].split(", ")
    return f"# {department}\n" + "".join(
        ENTRY.format(
            name=name,
            days=30 + place % 3,
            postage=4 + place % 5,
            years=2 + place % 4,
            lead=1 + place % 3,
            kept=6 + place % 7,
        )
        for place, name in enumerate(names)
    )
