import json

import pytest
from pydantic import BaseModel
from wildberries_sdk.analytics import InventorySellerResponseItemsInner, InventoryWbResponseItemsInner
from wildberries_sdk.general import GetV1SellerInfo200Response
from wildberries_sdk.items import ItemsList
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cards_inner import PostV2GetCardsList200ResponseCardsInner

from tests.contracts.published_models import check_model, field_names
from tests.contracts.specification import Specification

CARDS = "/content/v2/get/cards/list"
WB_WAREHOUSES = "/api/analytics/v1/stocks-report/wb-warehouses"
SELLER_WAREHOUSES = "/api/analytics/v1/stocks-report/seller-warehouses"
JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def items() -> Specification:
    return Specification.load("02-items.yaml")


@pytest.fixture
def analytics() -> Specification:
    return Specification.load("11-analytics.yaml")


def test_a_right_request_and_a_right_response_pass(items: Specification) -> None:
    items.check_request("POST", CARDS, query={"locale": "ru"}, body=b'{"settings": {"cursor": {"limit": 100, "updatedAt": null}}}')
    items.check_response("post", "/api/v3/stocks/501001", 200, headers=JSON, body=b'{"stocks": [{"chrtId": 1, "amount": 2}]}')
    items.check_response("POST", CARDS, 400, headers={"content-type": "text/plain"}, body=b"Request body can not be decoded")


@pytest.mark.parametrize(
    ("query", "body", "departure"),
    [
        ({}, b"", "body: required"),
        ({}, b"{", "body: not JSON"),
        ({}, b'{"settings": {"cursor": {"limit": 101}}}', r"\$.settings.cursor.limit: 101 is greater"),
        ({}, b'{"settings": {"cursor": {"limit": "9"}}}', r"\$.settings.cursor.limit: '9' is not of type 'integer'"),
        ({}, b'{"settings": {"cursor": {"nmId": 9}}}', r"\$.settings.cursor.nmId: a field that the description does not know"),
        ({}, b'{"settings": {"filter": {"withPhoto": 3}}}', r"\$.settings.filter.withPhoto: 3 is not one of"),
        ({}, b'{"settings": null}', r"\$.settings: None"),
        ({"language": "ru"}, b"{}", "query language: a parameter that the description does not know"),
    ],
)
def test_each_departure_of_a_request_is_named(items: Specification, query: dict[str, str], body: bytes, departure: str) -> None:
    with pytest.raises(AssertionError, match=departure):
        items.check_request("POST", CARDS, query=query, body=body)


def test_a_query_is_read_by_the_types_of_its_parameters(items: Specification) -> None:
    prices = "/api/v2/list/goods/filter"

    items.check_request("GET", prices, query={"limit": "1000", "offset": "0"})

    with pytest.raises(AssertionError, match="query limit: required and missing"):
        items.check_request("GET", prices)
    with pytest.raises(AssertionError, match=r"query offset .*'a' is not of type 'integer'"):
        items.check_request("GET", prices, query={"limit": "10", "offset": "a"})


@pytest.mark.parametrize(
    ("status", "headers", "body", "departure"),
    [
        (200, JSON, b'{"data": {"items": [{"nmId": 1}]}}', r"\$.data.items\[0\]: 'chrtId' is a required property"),
        (200, JSON, b"{}", r"\$: 'data' is a required property"),
        (200, JSON, b"", "body: not JSON"),
        (200, {}, b"{}", "content type 'missing'"),
        (200, {"Content-Type": "text/html"}, b"<html>", "content type 'text/html'"),
        (204, JSON, b"{}", "body: the description knows none"),
        (401, JSON, b"{}", "content type 'application/json'"),
        (418, JSON, b"{}", "a status that the description does not know"),
    ],
)
def test_each_departure_of_a_response_is_named(
    analytics: Specification, status: int, headers: dict[str, str], body: bytes, departure: str
) -> None:
    with pytest.raises(AssertionError, match=departure):
        analytics.check_response("POST", WB_WAREHOUSES, status, headers=headers, body=body)


def test_a_path_or_method_that_nobody_described_is_named(analytics: Specification) -> None:
    with pytest.raises(AssertionError, match="a path that the description does not know"):
        analytics.check_request("GET", "/api/v1/supplier/stocks")
    with pytest.raises(AssertionError, match="a method that the description does not know"):
        analytics.check_request("GET", WB_WAREHOUSES)


@pytest.mark.parametrize(
    ("path", "model"), [(WB_WAREHOUSES, InventoryWbResponseItemsInner), (SELLER_WAREHOUSES, InventorySellerResponseItemsInner)]
)
def test_a_stock_row_is_the_same_in_the_description_and_in_the_published_model(
    analytics: Specification, path: str, model: type[BaseModel]
) -> None:
    row = {name: "x" if name.endswith("Name") else 1 for name in field_names(model)}

    check_model(model, row)
    analytics.check_response("POST", path, 200, headers=JSON, body=json.dumps({"data": {"items": [row]}}).encode())
    for name in row:
        less = {other: value for other, value in row.items() if other != name}
        with pytest.raises(AssertionError):
            check_model(model, less)
        with pytest.raises(AssertionError, match=f"'{name}' is a required property"):
            analytics.check_response("POST", path, 200, headers=JSON, body=json.dumps({"data": {"items": [less]}}).encode())


def test_the_published_models_know_the_fields_that_came_after_the_description_and_not_those_that_went() -> None:
    assert {"documents", "gtin"} <= field_names(PostV2GetCardsList200ResponseCardsInner)
    assert "country" in field_names(GetV1SellerInfo200Response)
    assert "isBadTurnover" not in field_names(ItemsList)


def test_a_field_that_went_after_the_description_is_a_departure(items: Specification) -> None:
    goods = b'{"data": {"listGoods": [{"nmID": 1, "isBadTurnover": true}]}, "error": false, "errorText": ""}'

    with pytest.raises(AssertionError, match="isBadTurnover: a field that the description does not know"):
        items.check_response("GET", "/api/v2/list/goods/filter", 200, headers=JSON, body=goods)


def test_a_field_that_a_published_model_does_not_know_is_named() -> None:
    with pytest.raises(AssertionError, match=r"\$.colour: a field that the model does not know"):
        check_model(PostV2GetCardsList200ResponseCardsInner, {"nmID": 1, "colour": "white"})
    with pytest.raises(AssertionError, match=r"\$.sizes.chrtId: a field that the model does not know"):
        check_model(PostV2GetCardsList200ResponseCardsInner, {"sizes": [{"chrtId": 1}]})
