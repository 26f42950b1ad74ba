"""Staging: where the samples of a test wait for the last of them, since they replace the old ones as one set.

The folder lies outside the suite, is the same for all workers of a run, and is removed with the run: a set
that never became complete leaves no trace next to the recordings, however the run ended. The worker that
brings the last sample writes the set, so that an error in writing fails a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import final

from pytest_claude_latency.atomic_files import write_file
from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.cassettes.recording import Recording, dumps, save_set
from pytest_claude_latency.cassettes.secrets import refuse_credentials

# Files in the folder of a waiting set.
_TEST = "test"  # how many samples it takes, and the test's node id
_PUBLISHED = "published"
_PUBLISHING = "publishing"


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where the recordings of a test lie, and how many samples of it the run takes."""

    nodeid: str
    test_file: Path
    folder: str
    test_id: str
    total: int
    add: bool = False
    """Whether samples recorded earlier stay and count: those of `record-missing` complete a set."""

    def path(self, sample: int) -> Path:
        """Return the file of one sample."""
        return path_of(self.test_file, self.folder, self.test_id, sample)


@final
class Staging:
    """The waiting samples of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, recordings: Sequence[Recording], place: Place, sample: int) -> None:
        """Keep what a sample recorded, which may be nothing. With the last sample, write the whole set.

        Raises:
            CredentialError: something in it looks like a credential; nothing was written.
            CassetteWriteError: the set could not be written; the old one is still there, complete.
        """
        for recording in recordings:
            refuse_credentials(recording, recording.test)
        waiting = self._folder / sha256(str(place.path(1)).encode(errors="surrogatepass")).hexdigest()
        waiting.mkdir(parents=True, exist_ok=True)
        # Each file appears whole: another worker may look at the folder at any moment.
        write_file(waiting / _TEST, f"{place.total}\n{place.nodeid}".encode("utf-8", "surrogatepass"))
        write_file(waiting / f"{sample}.jsonl", "".join(map(dumps, recordings)).encode("utf-8", "surrogatepass"))
        complete = all(
            (waiting / f"{number}.jsonl").exists() or (place.add and place.path(number).exists())
            for number in range(1, place.total + 1)
        )
        if not complete:
            return
        # Two workers may bring their samples at the same moment, and both then see a complete set. Making a folder
        # either succeeds or fails, on every file system, so exactly one of them writes it.
        claim = waiting / _PUBLISHING
        try:
            claim.mkdir()
        except FileExistsError:
            return
        try:
            # A sample that made no call has an empty file, and no recording.
            files = [file for file in waiting.glob("*.jsonl") if file.stat().st_size]
            staged = [Recording.load(file) for file in files]
            save_set(staged, place.test_file, place.folder, place.test_id, keep_others=place.add)
            (waiting / _PUBLISHED).touch()
        finally:
            claim.rmdir()

    def unfinished(self) -> Iterator[tuple[str, int, int]]:
        """Yield the tests whose set never became complete: node id, samples that succeeded, samples expected."""
        try:
            folders = sorted(self._folder.iterdir())
        except OSError:  # somebody removed it: nothing of the run waits any more
            return
        for waiting in folders:
            # a worker that was killed at the wrong moment, or whoever cleans up, leaves a part of it
            with suppress(OSError, ValueError):
                if not (waiting / _PUBLISHED).exists():
                    total, _, nodeid = (waiting / _TEST).read_text("utf-8", "surrogatepass").partition("\n")
                    yield nodeid, len(list(waiting.glob("*.jsonl"))), int(total)
