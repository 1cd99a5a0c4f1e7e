"""A zip that is sent while it is made: what was written is taken out piece by piece, and nothing but the list of its files stays in memory."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Self, cast
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo


class Archive:
    """Use it as a context: at the end it writes the list of its files, which a reader can't do without."""

    def __init__(self, made_at: datetime) -> None:
        self._made_at = made_at
        self._sink = _Sink()
        self._zip = ZipFile(cast("IO[bytes]", self._sink), "w", ZIP_DEFLATED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @contextmanager
    def file(self, name: str) -> Generator[IO[bytes]]:
        """The next file, of any size: to be written before there is another one."""
        info = ZipInfo(name, self._made_at.timetuple()[:6])
        info.compress_type = ZIP_DEFLATED
        with self._zip.open(info, "w", force_zip64=True) as file:
            yield file

    def take(self) -> bytes:
        """What the zip grew by since the last call."""
        return self._sink.take()


class _Sink:
    """A file without a way back; `zipfile` then writes the sizes of each file behind it (APPNOTE.TXT, section 4.3.9) rather than before it."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken
