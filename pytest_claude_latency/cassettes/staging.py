"""Staging: where the samples of a test wait for the last of them, since they replace the old ones as one set.

The folder lies outside the suite, is the same for all workers of a run, and
goes with the run: what never became a whole set leaves no trace beside the
recordings, however the run ended. The worker that brings the last sample writes
the set, so that what fails there fails a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import final

from pytest_claude_latency.atomic_files import write_file
from pytest_claude_latency.cassettes.paths import path_of
from pytest_claude_latency.cassettes.recording import Recording, dumps, save_set
from pytest_claude_latency.cassettes.secrets import refuse_credentials

_TEST = "test"
_PUBLISHED = "published"
_PUBLISHING = "publishing"


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where a test's recordings lie, and how many samples of it the run takes."""

    nodeid: str
    test_file: Path
    folder: str
    test_id: str
    of: int
    add: bool = False
    """Whether samples recorded earlier stay and count: those of `record-missing` complete a set."""

    def path(self, sample: int) -> Path:
        """The recording of one sample."""
        return path_of(self.test_file, self.folder, self.test_id, sample)


@final
class Staging:
    """The waiting samples of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, recordings: Sequence[Recording], place: Place, sample: int) -> None:
        """Keep what a sample recorded, which may be nothing; with the last one the whole set is written.

        Raises:
            CredentialError: something in it looks like a credential; nothing was written.
            CassetteWriteError: the set could not be written; the old one is still there, whole.
        """
        for recording in recordings:
            refuse_credentials(recording, recording.test)
        waiting = self._waiting(place)
        waiting.mkdir(parents=True, exist_ok=True)
        # Another worker that reads these must see them whole.
        write_file(waiting / _TEST, f"{place.of}\n{place.nodeid}".encode("utf-8", "surrogatepass"))
        write_file(waiting / f"{sample}.jsonl", "".join(map(dumps, recordings)).encode("utf-8", "surrogatepass"))
        if self._is_whole(waiting, place):
            with _claim(waiting) as claimed:
                if claimed:
                    self._publish(waiting, place)

    def unfinished(self) -> Iterator[tuple[str, int, int]]:
        """Tests whose set was never whole: the node id, how many samples succeeded, and of how many."""
        for waiting in sorted(self._folder.iterdir()):
            if not (waiting / _PUBLISHED).exists():
                of, _, nodeid = (waiting / _TEST).read_text("utf-8", "surrogatepass").partition("\n")
                yield nodeid, len(list(waiting.glob("*.jsonl"))), int(of)

    def _waiting(self, place: Place) -> Path:
        key = str(place.path(1)).encode(errors="surrogatepass")
        return self._folder / sha256(key).hexdigest()

    def _is_whole(self, waiting: Path, place: Place) -> bool:
        return all(
            (waiting / f"{sample}.jsonl").exists() or (place.add and place.path(sample).exists())
            for sample in range(1, place.of + 1)
        )

    def _publish(self, waiting: Path, place: Place) -> None:
        recordings = [Recording.load(file) for file in waiting.glob("*.jsonl") if file.stat().st_size]
        save_set(recordings, place.test_file, place.folder, place.test_id, keep_others=place.add)
        (waiting / _PUBLISHED).touch()


@contextmanager
def _claim(waiting: Path) -> Iterator[bool]:
    """Whether this worker is the one that writes: two may bring their samples at the same moment."""
    claim = waiting / _PUBLISHING
    try:
        claim.mkdir()
    except FileExistsError:
        yield False
        return
    try:
        yield True
    finally:
        claim.rmdir()
