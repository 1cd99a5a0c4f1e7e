"""Reports that are too large to be held: their rows, slice by slice, from a file.

A report is one JSON document. It is gone through twice: first to find at which bytes it can be cut between two rows, which also proves that all of it came and
is well-formed; then slice by slice, each decoded as a list of its own. So a report that breaks off is noticed before its first row is used, and no more than a
slice is ever in memory.
"""

import re
from collections.abc import Iterator
from io import BytesIO
from types import TracebackType
from typing import IO, Any, Generic, Self, TypeVar

import msgspec

from app.marketplaces.contract import Marketplace
from app.marketplaces.exchange import MIB, Answer
from app.marketplaces.items import UNREADABLE, Understood, misunderstood, understand
from app.marketplaces.wildberries.methods import Method

Row = TypeVar("Row")

Slices = list[tuple[int, int]]
"""Where in the file rows stand: from a byte to before a byte, without brackets."""

SLICE_BYTES = MIB
LONGEST_ROW_BYTES = 8 * MIB
# How often to look for another place to cut: only rows that begin as the lists in them do need more than one.
MOST_LOOKS = 16

# How rows begin, up to the name of their first field: within a row hardly anything else begins so.
_OPENING = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"')

_well_formed = msgspec.json.Decoder(msgspec.Raw)
_raw_rows = msgspec.json.Decoder(list[msgspec.Raw])


class Report(Generic[Row]):
    """How a report is built: `envelope` is the type of the whole without rows, `key` the name of the list in it that has them; without a key the report is a
    list itself. `row_id` has the field that a malformed row is told by."""

    def __init__(self, row: type[Row], row_id: type[msgspec.Struct], envelope: Any = list[Any], key: str | None = None) -> None:
        self._rows = msgspec.json.Decoder(list[row])
        self._row = msgspec.json.Decoder(row)
        self._row_id = msgspec.json.Decoder(row_id)
        self._envelope = msgspec.json.Decoder(envelope)
        self._beginning = re.compile(rb"\A\s*\[" if key is None else rb'"%b"\s*:\s*\[' % re.escape(key.encode()))

    def open(self, answer: Answer, method: Method) -> "Rows[Row]":
        """The rows of an answer of status 200, or 204, which is an empty report. Who gets them closes them.

        Raises:
            msgspec.DecodeError, RecursionError: it is cut short (items.is_cut_short), or isn't such a report.
        """
        file = answer.file or BytesIO(answer.body)
        try:
            return Rows(self, method, file, [] if answer.status == 204 else self.slices(file))
        except BaseException:
            file.close()
            raise

    def slices(self, file: IO[bytes]) -> Slices:
        """Where to cut. The file is read from its present position to its end.

        Raises:
            msgspec.DecodeError, RecursionError: it is cut short (items.is_cut_short), or isn't such a report.
        """
        text = file.read(SLICE_BYTES)
        beginning = self._beginning.search(text)
        if beginning is None:
            self._refuse_rows(text, file.read(1))
            return []
        head, text, start = text[: beginning.end()], text[beginning.end() :], beginning.end()
        opening = _OPENING.search(text)
        slices: Slices = []
        while more := file.read(SLICE_BYTES):
            if cut := _last_cut(text, opening[0] if opening else b"{"):
                slices.append((start, start + cut[0]))
                text, start = text[cut[1] :], start + cut[1]
            elif len(text) > LONGEST_ROW_BYTES:
                raise msgspec.ValidationError("There is no end of a row where there should be one.")
            text += more
        end = self._list_end(head, text, is_first=not slices)
        if text[:end].strip():
            slices.append((start, start + end))
        return slices

    def read(self, file: IO[bytes], slices: Slices) -> Iterator[Understood[Row]]:
        """The rows, and those that can't be understood.

        Raises:
            msgspec.ValidationError: of a slice nothing can be understood.
        """
        for start, end in slices:
            file.seek(start)
            yield understand(b"[%b]" % file.read(end - start), self._rows, _raw_rows, self._row, self._row_id)

    def _refuse_rows(self, text: bytes, more: bytes) -> None:
        """A report whose list isn't there must be one that is allowed to have none."""
        if more:
            raise msgspec.ValidationError("The list of rows is not where it should be.")
        self._envelope.decode(text)

    def _list_end(self, head: bytes, text: bytes, is_first: bool) -> int:
        """Where the list ends behind the last rows, such that what is around the rows is the documented envelope."""
        end = len(text)
        for _ in range(MOST_LOOKS):
            end = text.rfind(b"]", 0, end)
            if end < 0:
                break
            if _are_rows(text[:end]) and (is_first or text[:end].strip()):
                self._envelope.decode(head + text[end:])
                return end
        # What came is wrong; the decoder says whether it just ended.
        _well_formed.decode(head + text)
        raise msgspec.ValidationError("The list of rows is not where it should be.")


class Rows(Generic[Row]):
    """The rows of one report, and those that can't be understood, a slice at a time. A context: it holds a file.

    Going through them raises `UnexpectedResponse` where nothing of a slice can be understood.
    """

    def __init__(self, report: Report[Row], method: Method, file: IO[bytes], slices: Slices) -> None:
        self._report = report
        self._method = method
        self._file = file
        self._slices = slices

    def __iter__(self) -> Iterator[Understood[Row]]:
        try:
            yield from self._report.read(self._file, self._slices)
        except UNREADABLE as error:
            raise misunderstood(Marketplace.WILDBERRIES, self._method.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


def _last_cut(text: bytes, opening: bytes) -> tuple[int, int] | None:
    """The end of the last row that is followed by another one, and the beginning of that."""
    for start_of_row in (opening, b"{"):
        next_row = len(text)
        for _ in range(MOST_LOOKS):
            next_row = text.rfind(start_of_row, 0, next_row)
            if next_row < 0:
                break
            rows, comma, rest = text[:next_row].rpartition(b",")
            if comma and not rest.strip() and _are_rows(rows):
                return len(rows), next_row
    return None


def _are_rows(text: bytes) -> bool:
    try:
        _well_formed.decode(b"[%b]" % text)
    except msgspec.DecodeError:
        return False
    return True
