import json
import random
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import msgspec
import pytest

from app.marketplaces.errors import UnexpectedResponse
from app.marketplaces.exchange import Answer
from app.marketplaces.items import UNREADABLE, is_cut_short
from app.marketplaces.wildberries import rows as rows_module
from app.marketplaces.wildberries.methods import REMAINS_DOWNLOAD, WB_WAREHOUSES
from app.marketplaces.wildberries.rows import Report
from app.marketplaces.wildberries.wire import NmId, RemainsRow, StockReport, StockRow
from tests.marketplaces.wildberries.examples import REMAINS_ROW, WB_STOCK, stock_report

STOCK = Report(StockRow, NmId, StockReport, "items")
REMAINS = Report(RemainsRow, NmId)


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "SLICE_BYTES", 2_000)
    monkeypatch.setattr(rows_module, "LONGEST_ROW_BYTES", 20_000)


def stock_rows(number: int) -> list[dict[str, Any]]:
    return [{**WB_STOCK, "chrtId": chrt_id} for chrt_id in range(1, number + 1)]


def remains_rows(number: int) -> list[dict[str, Any]]:
    """Each with another number of warehouses."""
    return [{**REMAINS_ROW, "nmId": nm_id, "warehouses": REMAINS_ROW["warehouses"] * (nm_id % 9)} for nm_id in range(1, number + 1)]


def read(report: Report[Any], body: bytes) -> Iterator[tuple[list[Any], Any]]:
    file = BytesIO(body)
    yield from report.read(file, report.slices(file))


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")], ids=["compact", "usual", "wide"])
@pytest.mark.parametrize("indent", [None, 2])
def test_all_rows_come_in_their_order_however_they_are_written(separators: tuple[str, str], indent: int | None) -> None:
    stock = json.dumps(stock_report(*stock_rows(200)), separators=separators, indent=indent).encode()
    remains = json.dumps(remains_rows(200), separators=separators, indent=indent, ensure_ascii=False).encode()

    stock_slices = list(read(STOCK, stock))
    remains_slices = list(read(REMAINS, remains))

    assert [row.chrt_id for rows, _ in stock_slices for row in rows] == list(range(1, 201))
    assert [row.nm_id for rows, _ in remains_slices for row in rows] == list(range(1, 201))
    assert [len(row.warehouses) for rows, _ in remains_slices for row in rows] == [5 * (n % 9) for n in range(1, 201)]
    assert len(stock_slices) > 10
    assert len(remains_slices) > 10


@pytest.mark.parametrize("number", range(8, 16))
def test_a_report_that_ends_at_the_end_of_a_chunk_is_read_like_any_other(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    body = msgspec.json.encode(stock_report(*stock_rows(number)))
    for rest in (-2, -1, 0, 1, 2):
        monkeypatch.setattr(rows_module, "SLICE_BYTES", len(body) + rest)

        rows = [row.chrt_id for slice_rows, _ in read(STOCK, body) for row in slice_rows]

        assert rows == list(range(1, number + 1))


@pytest.mark.parametrize(
    ("report", "body"),
    [
        (STOCK, msgspec.json.encode(stock_report(*stock_rows(60)))),
        (STOCK, json.dumps(stock_report(*stock_rows(60)), indent=1).encode()),
        (REMAINS, json.dumps(remains_rows(40), ensure_ascii=False).encode()),
    ],
    ids=["stock", "indented", "remains"],
)
def test_a_report_that_just_ends_is_noticed_wherever_that_is(report: Report[Any], body: bytes) -> None:
    dice = random.Random(7)
    cuts = {*range(40), *range(len(body) - 40, len(body)), *(dice.randrange(len(body)) for _ in range(300))}
    # A number that ends behind its sign or point is the one thing that the decoder takes for a mistake.
    for cut in (cut for cut in cuts if not body[:cut].endswith((b".", b"-"))):
        with pytest.raises(UNREADABLE) as error:
            report.slices(BytesIO(body[:cut]))

        assert is_cut_short(error.value), (cut, error.value)


def test_what_stands_around_the_rows_may_be_more_than_is_documented() -> None:
    body = b'{"x":[{"a":[1]}],"data":{"total":1,"items":[%b],"pages":[[1],[2]]},"note":"]}"}' % msgspec.json.encode(WB_STOCK)

    [(rows, rejected)] = read(STOCK, body)

    assert [row.chrt_id for row in rows] == [WB_STOCK["chrtId"]]
    assert rejected == ()


@pytest.mark.parametrize("body", [b'{"data":{"items":[]}}', b' { "data" : { "items" : [ ] } } ', b'{"data":{"items":null}}'])
def test_a_report_of_no_rows_is_no_slice(body: bytes) -> None:
    assert STOCK.slices(BytesIO(body)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"<html>",
        b'{"data":null}',
        b'{"data":{"items":{}}}',
        b'{"items":[{}]}',
        b'{"meta":{"items":[{}]},"data":{"items":[{}]}}',
        b'{"data":{"items":[{},]}}',
        b'{"data":{"items":[{}}]}',
        b'{"data":{"items":[{}]}}]',
        b"<html>" + b"x" * 10_000,
        b'{"data":{"items":[' + b"{} {}," * 10_000 + b"]}}",
        b'{"data":{"items":[' + b"[" * 50_000 + b"]" * 50_000 + b"]}}",
    ],
)
def test_what_is_no_such_report_is_refused_before_a_row_is_used(body: bytes) -> None:
    with pytest.raises(UNREADABLE) as error:
        STOCK.slices(BytesIO(body))

    assert not is_cut_short(error.value)


def test_a_row_without_end_is_refused_before_it_fills_the_memory() -> None:
    body = b'{"data":{"items":[{"nmId":1,"warehouseName":"' + b"x" * 1_000_000 + b'"}]}}'

    with pytest.raises(msgspec.ValidationError, match="no end of a row"):
        STOCK.slices(BytesIO(body))


def test_a_malformed_row_costs_itself_only() -> None:
    rows = stock_rows(100)
    rows[50]["quantity"] = "many"
    rows[70]["nmId"] = None

    slices = list(read(STOCK, msgspec.json.encode(stock_report(*rows))))

    assert sum(len(understood) for understood, _ in slices) == 98
    assert [item.external_id for _, rejected in slices for item in rejected] == ["201000118", None]


def test_a_text_that_is_not_utf8_costs_its_row_only() -> None:
    body = json.dumps(stock_report(*stock_rows(30)), ensure_ascii=False).encode().replace("Склад WB".encode(), b"\xff\xfe", 1)

    slices = list(read(STOCK, body))

    assert sum(len(understood) for understood, _ in slices) == 29
    assert sum(len(rejected) for _, rejected in slices) == 1


def test_rows_of_another_kind_are_another_format() -> None:
    answer = Answer(200, {}, msgspec.json.encode([{"id": 1}, {"id": 2}]))

    with REMAINS.open(answer, REMAINS_DOWNLOAD) as rows, pytest.raises(UnexpectedResponse, match="None of 2 items"):
        list(rows)


def test_the_file_is_closed_with_the_rows() -> None:
    with STOCK.open(Answer(200, {}, msgspec.json.encode(stock_report(WB_STOCK))), WB_WAREHOUSES) as rows:
        first = list(rows)

    assert len(first) == 1
    with pytest.raises(ValueError, match="closed file"):
        list(rows)


def test_no_data_is_no_row() -> None:
    with STOCK.open(Answer(204, {}, b""), WB_WAREHOUSES) as rows:
        assert list(rows) == []
