"""Where Chromium is, and what is said where it is missing."""

from __future__ import annotations

import shutil
from typing import Final

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NO_CHROMIUM: Final = "no Chromium: the page is not tested in a browser"
NO_PLAYWRIGHT: Final = "no Playwright: the page is not tested in a browser"
