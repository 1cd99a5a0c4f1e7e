"""Ozon's official description, as of 2026-04-16, made usable as one of schemas. It lies unchanged in `../shared/specs/ozon`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.specification import Specification

DESCRIPTION = Path(__file__).resolve().parents[3] / "shared" / "specs" / "ozon" / "seller_swagger.json"


def ozon_specification() -> Specification:
    """Parsed once per process; where it is absent, the test is skipped."""
    if not DESCRIPTION.is_file():
        pytest.skip("no official description seller_swagger.json in ../shared/specs/ozon", allow_module_level=True)
    return _parse()


@cache
def _parse() -> Specification:
    return Specification(_usable(json.loads(DESCRIPTION.read_bytes())))


def _usable(node: Any) -> Any:
    """Without `required: true` inside properties, which is no JSON Schema: Ozon puts it there by mistake."""
    if isinstance(node, dict):
        is_parameter = "in" in node
        return {
            key: _usable(value)
            for key, value in node.items()
            if not (key == "required" and isinstance(value, bool) and "content" not in node and not is_parameter)
        }
    if isinstance(node, list):
        return [_usable(element) for element in node]
    return node


def newer_ozon_specification() -> Specification:
    """The same with what Ozon published until 2026-10-01, and with what it says of all methods at once, in our words."""
    ozon_specification()
    return _parse_newer()


@cache
def _parse_newer() -> Specification:
    document = _nullable(_usable(json.loads(DESCRIPTION.read_bytes())))
    _amend(document)
    return Specification(document)


def _nullable(node: Any) -> Any:
    """With null for whatever has a type: live answers have it in many places, which the description never says."""
    if isinstance(node, dict):
        amended = {key: _nullable(value) for key, value in node.items()}
        return {**amended, "nullable": True} if isinstance(node.get("type"), str) else amended
    if isinstance(node, list):
        return [_nullable(element) for element in node]
    return node


def _of(kind: str, kind_format: str | None = None) -> dict[str, Any]:
    return {"type": kind, "nullable": True, **({"format": kind_format} if kind_format else {})}


TEXT, WHOLE, NUMBER, FLAG, INSTANT = _of("string"), _of("integer", "int64"), _of("number"), _of("boolean"), _of("string", "date-time")
# Ids go as text to Ozon, which takes both.
ID = {"oneOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+$"}]}


def _object(*, required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {**_of("object"), "properties": fields, **({"required": list(required)} if required else {})}


def _list(items: Any, **limits: int) -> dict[str, Any]:
    return {**_of("array"), "items": items, **limits}


def _all(kind: dict[str, Any], names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), kind)


def _page_size(most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most}


MONEY = _object(amount=TEXT, currency=TEXT)
COMMISSION = _object(amount=NUMBER, currency=TEXT, percent=WHOLE)
PERIOD = {"since": INSTANT, "to": INSTANT}
# What both lists of postings have in common.
LISTING = {"limit": _page_size(100), "cursor": TEXT, "sort_dir": {"type": "string", "enum": ["ASC", "DESC"]}, "translit": FLAG}
SUMS = {
    **_all(NUMBER, "price old_price payout total_discount_value total_discount_percent"),
    "product_id": WHOLE,
    "actions": _list(TEXT),
    "commission": COMMISSION,
}
POSTING = {
    **_all(TEXT, "posting_number order_number status substatus"),
    "order_id": WHOLE,
    "in_process_at": INSTANT,
    "legal_info": _object(**_all(TEXT, "company_name inn kpp")),
    "external_order": _object(is_external=FLAG, platform_name=TEXT),
}
PRODUCT = {**_all(TEXT, "offer_id name"), **_all(WHOLE, "sku quantity"), "price": MONEY, "is_marketplace_buyout": FLAG}
ANALYTICS = {
    **_all(TEXT, "city delivery_type payment_type_group_name"),
    **_all(FLAG, "is_legal is_premium"),
    **_all(INSTANT, "client_delivery_date_begin client_delivery_date_end"),
    "warehouse_id": WHOLE,
}

FBO_POSTING = _object(
    required=("posting_number", "status", "products"),
    **POSTING,
    created_at=INSTANT,
    cancel_reason_id=WHOLE,
    cancellation=_object(**_all(TEXT, "cancel_reason cancellation_type cancellation_initiator")),
    additional_data=_list(_object(key=TEXT, value=TEXT)),
    products=_list(_object(**PRODUCT, digital_codes=_list(TEXT))),
    analytics_data=_object(**ANALYTICS, warehouse_name=TEXT),
    financial_data=_object(cluster_from=TEXT, cluster_to=TEXT, products=_list(_object(**SUMS))),
)

FBS_POSTING = _object(
    required=("posting_number", "status", "products"),
    **POSTING,
    **_all(TEXT, "parent_posting_number delivery_schema tpl_integration_type integration_type_flow tracking_number scanit prr_option"),
    **_all(TEXT, "container_sort_type destination_place_name"),
    **_all(INSTANT, "shipment_date shipment_date_without_delay delivering_date pickup_code_verified_at"),
    **_all(FLAG, "is_express is_multibox is_presortable is_click_and_collect require_blr_traceable_attrs"),
    **_all(WHOLE, "multi_box_qty quantum_id destination_place_id"),
    volume_weight=NUMBER,
    delivery_method=_object(**_all(WHOLE, "id warehouse_id tpl_provider_id"), **_all(TEXT, "name warehouse tpl_provider")),
    cancellation=_object(
        cancel_reason_id=WHOLE,
        **_all(TEXT, "cancel_reason cancellation_type cancellation_initiator"),
        **_all(FLAG, "cancelled_after_ship affect_cancellation_rating"),
    ),
    barcodes=_object(lower_barcode=TEXT, upper_barcode=TEXT),
    **_all(_of("object"), "customer addressee container sorting_center tariffication"),
    tariffication_steps=_list(_of("object")),
    optional=_object(products_with_possible_mandatory_mark=_list(TEXT)),
    products=_list(_object(**PRODUCT, product_color=TEXT, weight=NUMBER, imei=_list(TEXT), is_blr_traceable=FLAG)),
    analytics_data=_object(
        **ANALYTICS,
        **_all(TEXT, "region tpl_provider warehouse"),
        **_all(INSTANT, "delivery_date_begin delivery_date_end"),
        tpl_provider_id=WHOLE,
    ),
    financial_data=_object(cluster_from=TEXT, cluster_to=TEXT, products=_list(_object(**SUMS, quantity=WHOLE, customer_price=MONEY))),
    available_actions=_list(TEXT),
    requirements=_object(
        **{
            f"products_requiring_{name}": _list(TEXT)
            for name in ("change_country", "country", "gtd", "imei", "jw_uin", "mandatory_mark", "rnpt", "weight")
        }
    ),
)

NEWER_METHODS = {
    "/v1/product/info/stocks-by-warehouse/fbo": (
        _object(
            required=("limit",), skus=_list(ID, maxItems=1000), offer_ids=_list(TEXT, maxItems=1000), limit=_page_size(1000), cursor=TEXT
        ),
        _object(
            required=("products",),
            cursor=TEXT,
            has_next=FLAG,
            products=_list(_object(offer_id=TEXT, **_all(WHOLE, "sku product_id warehouse_id present reserved"))),
        ),
    ),
    "/v3/posting/fbo/list": (
        _object(
            required=("limit",),
            **LISTING,
            filter=_object(**PERIOD, statuses=_list(TEXT), **_all(_list(TEXT, maxItems=1000), "posting_numbers order_numbers")),
            **{"with": _object(**_all(FLAG, "analytics_data financial_data legal_info"))},
        ),
        _object(required=("postings",), cursor=TEXT, has_next=FLAG, postings=_list(FBO_POSTING)),
    ),
    "/v4/posting/fbs/list": (
        _object(
            required=("filter", "limit"),
            **LISTING,
            filter=_object(
                required=("since", "to"),
                **PERIOD,
                **_all(_list(TEXT), "statuses integration_type_flow"),
                **_all(_list(ID, maxItems=1000), "warehouse_ids delivery_method_ids provider_ids"),
                order_numbers=_list(TEXT, maxItems=100),
                order_id=ID,
                is_blr_traceable=FLAG,
                last_changed_status_date=_object(**{"from": INSTANT, "to": INSTANT}),
            ),
            **{"with": _object(**_all(FLAG, "analytics_data barcodes financial_data legal_info"))},
        ),
        _object(required=("postings",), cursor=TEXT, has_next=FLAG, postings=_list(FBS_POSTING)),
    ),
}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _amend(document: dict[str, Any]) -> None:
    paths, schemas = document["paths"], document["components"]["schemas"]
    for path, (question, answer) in NEWER_METHODS.items():
        # Whoever finds one here has a newer description, and should drop ours.
        assert path not in paths
        paths[path] = {"post": {"requestBody": {**_content(question), "required": True}, "responses": {"200": _content(answer)}}}
    # The chapter "Errors" holds for all methods.
    refusal = _content({"$ref": "#/components/schemas/rpcStatus"})
    for item in paths.values():
        for operation in item.values():
            operation["responses"] |= dict.fromkeys(("400", "401", "403", "404", "409", "429", "500", "503"), refusal)
    # Changed on the days that ../shared/specs/ozon/README.md lists.
    listed = schemas["productv3GetProductListResponseResult"]["properties"]
    listed["total_items"] = WHOLE
    schemas["productv3GetProductListResponseItem"]["properties"]["sku"] = WHOLE
    schemas["productv3GetProductListRequestFilter"]["properties"]["skus"] = _list(ID)
    for name in ("v4GetProductInfoStocksResponse", "productv5GetProductInfoPricesV5Response"):
        schemas[name]["properties"]["total_items"] = WHOLE
    info = _target(schemas, paths["/v3/product/info/list"])["properties"]["items"]["items"]
    described = schemas[info["$ref"].rpartition("/")[2]]["properties"]
    del described["images360"]
    described["declared_price"] = MONEY
    prices = schemas["productGetProductInfoPricesV5ResponseItem"]["properties"]["price"]["$ref"].rpartition("/")[2]
    schemas[prices]["properties"]["declared_price"] = MONEY


def _target(schemas: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """The schema of the answer that all goes well with."""
    reference = item["post"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    return schemas[reference.rpartition("/")[2]]
