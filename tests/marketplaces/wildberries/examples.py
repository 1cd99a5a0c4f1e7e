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


def many_cards(first: int, number: int) -> list[dict[str, Any]]:
    return [{**CARD, "nmID": nm_id} for nm_id in range(first, first + number)]


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


def trash_page(*nm_ids: int, trashed_at: str = "2026-11-22T09:00:00Z", total: int | None = None) -> dict[str, Any]:
    """One answer of the list of cards in the trash."""
    cards = [
        {"nmID": nm_id, "vendorCode": f"OLD-{nm_id}", "subjectID": 105, "subjectName": "Кружки", "trashedAt": trashed_at}
        for nm_id in nm_ids
    ]
    cursor = {"trashedAt": trashed_at, "nmID": nm_ids[-1]} if nm_ids else {}
    return {"cards": cards, "cursor": {**cursor, "total": len(cards) if total is None else total}}


def goods(nm_id: int = 201000118, *sizes: tuple[Any, Any]) -> dict[str, Any]:
    """The prices of a product: per size, before and after the discount."""
    return {
        "nmID": nm_id,
        "vendorCode": "MUG-WHITE-01",
        "sizes": [
            {"sizeID": 330100901 + n, "price": price, "discountedPrice": discounted, "clubDiscountedPrice": discounted, "techSizeName": "0"}
            for n, (price, discounted) in enumerate(sizes or [(1200, 840)])
        ],
        "currencyIsoCode4217": "RUB",
        "discount": 30,
        "clubDiscount": 5,
        "editableSizePrice": False,
    }


def goods_page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"listGoods": list(items)}, "error": False, "errorText": ""}


TASK = "5b1d0a36-8f51-4a57-9c7e-0a2f43f2c111"
REMAINS_CREATED = {"data": {"taskId": TASK}}


def remains_status(status: str) -> dict[str, Any]:
    return {"data": {"id": TASK, "status": status}}


REMAINS_ROW: dict[str, Any] = {
    "brand": "Sample Home",
    "subjectName": "Кружки",
    "vendorCode": "MUG-WHITE-01",
    "nmId": 201000118,
    "barcode": "2040000000017",
    "techSize": "0",
    "volume": 1.32,
    "warehouses": [
        {"warehouseName": "В пути до получателей", "quantity": 5},
        {"warehouseName": "В пути возвраты на склад WB", "quantity": 2},
        {"warehouseName": "Всего находится на складах", "quantity": 43},
        {"warehouseName": "Склад WB РФ", "quantity": 40},
        {"warehouseName": "Минск", "quantity": 3},
    ],
}

WAREHOUSE: dict[str, Any] = {
    "name": "Основной склад",
    "officeId": 15,
    "id": 501001,
    "cargoType": 1,
    "deliveryType": 1,
    "isDeleting": False,
    "isProcessing": False,
}

FEED_ORDER: dict[str, Any] = {
    "nmId": 201000118,
    "chrtId": 330100901,
    "srid": "12.r0000000000000000000000000000001.0.0",
    "createdAt": "2026-11-21T18:08:31+03:00",
    "updatedAt": "2026-11-22T09:40:10+03:00",
    "status": "cancel",
    "cancelType": "app",
    "warehouseName": "Склад WB",
    "warehouseRegion": "",
    "isMp": False,
    "destinationCity": "Казань",
    "destinationDistrict": "Приволжский",
    "sellerPrice": 840,
    "isB2b": False,
}


def feed_page(*orders: dict[str, Any], snapshot: str = "2026-11-22T11:00:02Z") -> dict[str, Any]:
    return {"data": {"snapshotTime": snapshot, "currency": "RUB", "orders": list(orders)}}


SUPPLIER_ORDER: dict[str, Any] = {
    "date": "2026-11-21T18:08:31",
    "lastChangeDate": "2026-11-22T10:11:07",
    "warehouseName": "Склад WB РФ",
    "warehouseType": "Склад WB",
    "countryName": "Россия",
    "oblastOkrugName": "Центральный федеральный округ",
    "regionName": "Московская",
    "supplierArticle": "MUG-WHITE-01",
    "nmId": 201000118,
    "barcode": "2040000000017",
    "category": "Дом",
    "subject": "Кружки",
    "brand": "Sample Home",
    "techSize": "0",
    "incomeID": 0,
    "isSupply": False,
    "isRealization": True,
    "totalPrice": 1200,
    "discountPercent": 30,
    "spp": 12,
    "finishedPrice": 739,
    "priceWithDisc": 840,
    "isCancel": False,
    "cancelDate": "0001-01-01T00:00:00",
    "sticker": "",
    "gNumber": "9800000000000000001",
    "srid": "12.r0000000000000000000000000000001.0.0",
}
SUPPLIER_SALE: dict[str, Any] = {
    **{name: value for name, value in SUPPLIER_ORDER.items() if name not in ("isCancel", "cancelDate")},
    "lastChangeDate": "2026-11-23T08:00:00",
    "paymentSaleAmount": 0,
    "forPay": 612.5,
    "saleID": "S9000000001",
}
NOT_FOUND = {"title": "Not Found", "detail": "task not found", "origin": "api-statistics", "requestId": "0004"}
