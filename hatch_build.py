"""What a build changes in the README: on PyPI, a link to a file of the repository would lead nowhere.

A workflow on GitHub tells which repository it builds, and links and pictures become absolute. A build anywhere else
cannot know it, keeps the words of each link without the link, and leaves pictures out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"!\[([^\]]*)\]\((?!\w+:)([^)]+)\)\n?")
LINK_TO_FILE = re.compile(r"\[([^\]]+)\]\((?!\w+:|#)([^)]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Make the description of the package from the README."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme`, with links that work outside the repository."""
        server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
        link = rf"[\1]({server}/{repository}/blob/HEAD/\2)" if server and repository else r"\1"
        picture = rf"![\1]({server}/{repository}/raw/HEAD/\2)\n" if server and repository else ""
        text = PICTURE.sub(picture, Path(self.root, "README.md").read_text("utf-8"))
        text = LINK_TO_FILE.sub(link, text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
