"""What a build changes in the README: on PyPI, a link to a file of the repository would lead nowhere.

A workflow on GitHub tells which repository it builds, and the links become absolute. A build anywhere else cannot know
it, and keeps the words of each link without the link.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK_TO_FILE = re.compile(r"\[([^\]]+)\]\((?!\w+:|#)([^)]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Make the description of the package from the README."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme`, with links that work outside the repository."""
        server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
        link = rf"[\1]({server}/{repository}/blob/HEAD/\2)" if server and repository else r"\1"
        text = LINK_TO_FILE.sub(link, Path(self.root, "README.md").read_text("utf-8"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
