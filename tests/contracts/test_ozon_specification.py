import json
from typing import Any

import msgspec
import pytest

from tests.contracts.ozon_specification import NEWER_METHODS, newer_ozon_specification
from tests.contracts.published_ozon_models import PUBLISHED, check_published, field_names, told
from tests.contracts.specification import Specification

JSON = {"Content-Type": "application/json"}
FBO = "/v3/posting/fbo/list"
LIST = "/v3/product/list"


@pytest.fixture
def specification() -> Specification:
    return newer_ozon_specification()


def body(message: Any) -> bytes:
    return json.dumps(message).encode()


def test_what_ozon_added_is_known(specification: Specification) -> None:
    listed = {"result": {"items": [{"product_id": 1, "sku": 2, "quants": None}], "last_id": "", "total_items": 1}}
    specification.check_request("POST", LIST, body=body({"filter": {"skus": ["2"]}, "limit": 1}))
    specification.check_response("POST", LIST, 200, headers=JSON, body=body(listed))
    specification.check_response("POST", LIST, 429, headers=JSON, body=body({"code": 8, "message": "too many"}))
    specification.check_response("POST", FBO, 200, headers=JSON, body=body({"postings": [], "has_next": False, "cursor": ""}))


@pytest.mark.parametrize(
    ("path", "status", "message", "departure"),
    [
        (LIST, 200, {"result": {"items": [{"product_id": "1"}]}}, r"product_id: '1' is not of type 'integer'"),
        (LIST, 200, {"result": {"items": [{"product": 1}]}}, r"items\[0\].product: a field that the description does not know"),
        (LIST, 404, {"code": "NOT_FOUND"}, "code: 'NOT_FOUND' is not of type 'integer'"),
        ("/v3/product/info/list", 200, {"items": [{"images360": []}]}, "images360: a field that the description does not know"),
        (FBO, 200, {"result": []}, "'postings' is a required property"),
        (FBO, 200, {"postings": [{"posting_number": "1", "status": "x"}]}, "'products' is a required property"),
        (FBO, 200, {"postings": [{"posting_number": "1", "status": "x", "products": [], "customer": None}]}, "customer: a field"),
        (FBO, 200, {"postings": [{"posting_number": "1", "status": "x", "products": [], "created_at": "today"}]}, "is not a 'date-time'"),
    ],
)
def test_each_departure_of_an_answer_is_named(specification: Specification, path: str, status: int, message: Any, departure: str) -> None:
    with pytest.raises(AssertionError, match=departure):
        specification.check_response("POST", path, status, headers=JSON, body=body(message))


@pytest.mark.parametrize(
    ("path", "question", "departure"),
    [
        (FBO, {}, "'limit' is a required property"),
        (FBO, {"limit": 101}, "101 is greater than the maximum"),
        (FBO, {"limit": 1, "sort_dir": "asc"}, "'asc' is not one of"),
        (FBO, {"limit": 1, "offset": 5}, "offset: a field that the description does not know"),
        ("/v4/posting/fbs/list", {"limit": 1, "filter": {"since": "2026-11-01T00:00:00Z"}}, "'to' is a required property"),
        ("/v1/product/info/stocks-by-warehouse/fbo", {"limit": 1, "sku": ["1"]}, "sku: a field that the description does not know"),
    ],
)
def test_each_departure_of_a_request_is_named(specification: Specification, path: str, question: Any, departure: str) -> None:
    with pytest.raises(AssertionError, match=departure):
        specification.check_request("POST", path, body=body(question))


@pytest.mark.parametrize("path", NEWER_METHODS)
def test_our_words_name_no_field_that_the_published_models_have_not(path: str) -> None:
    published = field_names(msgspec.inspect.type_info(PUBLISHED[path].__returns__))

    assert _described(NEWER_METHODS[path][1]) <= published


@pytest.mark.parametrize(
    ("message", "departure"),
    [
        ({"postings": [{"status": 5}]}, "Expected `str | null`, got `int`"),
        ({"postings": [{"products": [{"sku": 1, "product": 1}]}]}, r"\$.postings\[0\].products\[0\].product"),
    ],
)
def test_each_departure_from_a_published_model_is_named(message: Any, departure: str) -> None:
    with pytest.raises(AssertionError, match=departure):
        check_published(FBO, message)


def test_fields_are_told_by_their_places() -> None:
    assert told({"a": [{"b": 1}, {"c": {"d": None}}]}) == {"a", "a.b", "a.c", "a.c.d"}


def _described(schema: dict[str, Any], where: str = "") -> set[str]:
    names: set[str] = set()
    for name, field in schema.get("items", schema).get("properties", {}).items():
        names |= {f"{where}{name}"} | _described(field, f"{where}{name}.")
    return names
