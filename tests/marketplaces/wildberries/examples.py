"""Answers of Wildberries in the documented form, with invented data."""

from typing import Any

PING = {"TS": "2026-11-22T14:03:07+03:00", "Status": "OK"}

CARD: dict[str, Any] = {
    "nmID": 201000118,
    "imtID": 180500042,
    "nmUUID": "0192f4c6-0c11-7a3e-8f00-2b7c0d1e9a10",
    "subjectID": 105,
    "subjectName": "Кружки",
    "vendorCode": "MUG-WHITE-01",
    "brand": "Sample Home",
    "title": "Кружка белая 350 мл",
    "description": "Керамическая кружка.",
    "needKiz": False,
    "kizMarked": False,
    "photos": [
        {
            "big": "https://img.example.invalid/201000118/big/1.webp",
            "c246x328": "https://img.example.invalid/201000118/c246x328/1.webp",
            "c516x688": "https://img.example.invalid/201000118/c516x688/1.webp",
            "square": "https://img.example.invalid/201000118/square/1.webp",
            "tm": "https://img.example.invalid/201000118/tm/1.webp",
        }
    ],
    "wholesale": {"enabled": False, "quantum": 0},
    "dimensions": {"length": 12, "width": 10, "height": 11, "weightBrutto": 0.42, "isValid": True},
    "characteristics": [{"id": 14177449, "name": "Цвет", "value": ["белый"]}, {"id": 88952, "name": "Вес", "value": 420}],
    "sizes": [{"chrtID": 330100901, "techSize": "0", "wbSize": "", "skus": ["2040000000017"]}],
    "tags": [{"id": 7001, "name": "Хит", "color": "D1CFD7"}],
    "createdAt": "2026-03-01T09:00:00.000001Z",
    "updatedAt": "2026-11-21T10:30:05.500001Z",
}


def cards_page(*cards: dict[str, Any], updated_at: str = "2026-11-21T10:30:05.500001Z", total: int | None = None) -> dict[str, Any]:
    """One answer of the list of cards. `total` other than the number of cards is for tests of paging."""
    cursor = {"updatedAt": updated_at, "nmID": cards[-1]["nmID"]} if cards else {}
    return {"cards": list(cards), "cursor": {**cursor, "total": len(cards) if total is None else total}}


WB_STOCK: dict[str, Any] = {
    "nmId": 201000118,
    "chrtId": 330100901,
    "warehouseId": -999999,
    "warehouseName": "Склад WB",
    "regionName": "Склад WB",
    "quantity": 43,
    "inWayToClient": 5,
    "inWayFromClient": 2,
}
SELLER_STOCK: dict[str, Any] = {
    "nmId": 201000118,
    "chrtId": 330100901,
    "warehouseId": 501001,
    "warehouseName": "Основной склад",
    "regionName": "Центральный",
    "quantity": 11,
}


def stock_report(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"items": list(rows)}}


TOO_MANY_REQUESTS = {
    "title": "too many requests",
    "detail": "limited by 11111111-2222-4333-8444-555555555555",
    "code": "sample-code",
    "requestId": "00000000000000000000000000000001",
    "origin": "ag-analytics",
    "status": 429,
    "statusText": "Too Many Requests",
    "timestamp": "2026-11-22T11:03:07Z",
}
SCOPE_NOT_ALLOWED = {
    "title": "unauthorized",
    "detail": "token scope not allowed",
    "code": "sample-code",
    "requestId": "00000000000000000000000000000002",
    "origin": "s2s-api-auth-catalog",
    "status": 401,
    "statusText": "Unauthorized",
    "timestamp": "2026-11-22T11:03:07Z",
}
BASE_TOKEN_NOT_ALLOWED = {"title": "forbidden", "detail": "base token is not allowed", "requestId": "0003", "origin": "ag-contentanalytics"}
