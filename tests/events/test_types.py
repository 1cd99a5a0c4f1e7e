from datetime import UTC, datetime

import msgspec
import pytest

from app.events.examples import EXAMPLES
from app.events.outbox import MAX_BODY_BYTES, encode
from app.events.types import CATALOGUE, LowStockItem, NewOrder
from app.ids import new_id
from app.marketplaces.contract import Fulfilment
from tests.events.events import largest_events, sync_completed


def test_the_names_of_events_never_change():
    assert set(CATALOGUE) == {
        "sync.completed",
        "sync.failed",
        "stock.low",
        "stock.out",
        "stock.replenished",
        "orders.created",
        "credentials.invalid",
        "credentials.expiring",
        "credentials.shared",
        "webhook.test",
    }


def test_every_type_is_described_by_a_sentence_and_a_schema():
    for name, payload in CATALOGUE.items():
        schema = msgspec.json.schema(payload)["$defs"][payload.__name__]
        assert payload.type == name
        assert payload.__doc__
        assert "message" in schema["required"]


def test_every_type_has_an_example_of_its_schema():
    assert EXAMPLES.keys() == CATALOGUE.keys()
    for name, body in EXAMPLES.items():
        assert body.keys() == {"type", "timestamp", "sequence", "data"}
        assert msgspec.to_builtins(msgspec.convert(body["data"], CATALOGUE[name])) == body["data"]


# One byte, two, three, four, and the six that JSON makes of a control character.
@pytest.mark.parametrize("letter", ["x", "Ж", "€", "🧺", '"', "\x01"])
def test_no_event_is_larger_than_twenty_kilobytes_whatever_its_words_are(letter):
    payloads = largest_events(letter)

    sizes = {payload.type: len(encode(payload, 2**63, datetime.now(UTC)).encode()) for payload in payloads}

    assert set(sizes) == set(CATALOGUE)
    assert max(sizes.values()) <= MAX_BODY_BYTES


def test_a_long_title_is_cut_and_says_so():
    item = LowStockItem(product_id=new_id(), article="a" * 75, title="t" * 121, stock=0)

    assert item.article == "a" * 75
    assert item.title == "t" * 119 + "…"


def new_order(**texts: str) -> NewOrder:
    return NewOrder(
        order_id=new_id(),
        ordered_at=datetime.now(UTC),
        fulfilment=Fulfilment.SELLER_WAREHOUSE,
        units=1,
        amount=None,
        currency="RUB",
        **texts,
    )


def test_an_orders_texts_are_cut_by_the_bytes_they_take():
    order = new_order(number="1" * 40, article="\x01" * 36, title="Ж" * 29)

    assert (order.number, order.article, order.title) == ("1" * 40, "\x01" * 5 + "…", "Ж" * 26 + "…")


def test_an_event_that_breaks_its_schema_is_our_mistake():
    payload = sync_completed(new_id(), message="x" * 1001)

    with pytest.raises(ValueError, match=r"sync\.completed breaks its schema.*message"):
        encode(payload, 1, datetime.now(UTC))
