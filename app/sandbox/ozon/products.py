"""`POST /v3/product/list`: which products there are, and `POST /v3/product/info/list`: what they are like.

Sources: docs.ozon.ru/api/seller, both methods, state of 2026-10-01.
"""

from collections.abc import Sequence

import msgspec

from app.sandbox.messages import Answer
from app.sandbox.ozon.call import Call, Filter, check_ids, select
from app.sandbox.ozon.catalogue import FboStock, FbsStock, Offer
from app.sandbox.ozon.money import as_text

_LIST, _INFO = "GetProductListRequest", "GetProductInfoListRequest"


class ListQuestion(msgspec.Struct, frozen=True):
    filter: Filter | None = None
    last_id: str = ""
    limit: int | None = None


class InfoQuestion(msgspec.Struct, frozen=True):
    offer_id: list[str] = []
    product_id: list[int] = []
    sku: list[int] = []


_list_question = msgspec.json.Decoder(ListQuestion, strict=False)
_info_question = msgspec.json.Decoder(InfoQuestion, strict=False)

_INDEXES = msgspec.Raw(
    b'{"color_index":"COLOR_INDEX_WITHOUT_INDEX","external_index_data":{"minimal_price":"","minimal_price_currency":"","price_index_value":0},'
    b'"ozon_index_data":{"minimal_price":"","minimal_price_currency":"","price_index_value":0},'
    b'"self_marketplaces_index_data":{"minimal_price":"","minimal_price_currency":"","price_index_value":0}}'
)


def list_products(call: Call) -> Answer:
    question = call.read(_list_question)
    page = select(call, _LIST, question.filter, question.last_id, question.limit)
    fbo, fbs = call.catalogue.fbo(page.chrt_ids, call.now), call.catalogue.fbs(page.chrt_ids, call.now)
    items = [
        {
            "product_id": offer.product_id,
            "offer_id": offer.offer_id,
            "sku": offer.sku,
            "has_fbo_stocks": offer.chrt_id in fbo,
            "has_fbs_stocks": offer.chrt_id in fbs,
            "archived": offer.archived,
            "is_discounted": False,
            "quants": list[object](),
        }
        for offer in call.catalogue.describe(page.chrt_ids)
    ]
    return Answer(200, msgspec.json.encode({"result": {"items": items, "last_id": page.cursor, **call.counted(page.total)}}))


def describe_products(call: Call) -> Answer:
    """Those of the ids that exist, in the order of their product ids; of the others it says nothing."""
    question, catalogue = call.read(_info_question), call.catalogue
    check_ids(_INFO, required=True, ProductId=question.product_id, OfferId=question.offer_id, Sku=question.sku)
    if question.product_id:
        chrt_ids = catalogue.of_product_ids(question.product_id)
    elif question.offer_id:
        chrt_ids = catalogue.of_offer_ids(question.offer_id)
    else:
        chrt_ids = catalogue.of_skus(question.sku)
    fbo, fbs = catalogue.fbo(chrt_ids, call.now), catalogue.fbs(chrt_ids, call.now)
    items = [_describe(offer, fbo.get(offer.chrt_id, ()), fbs.get(offer.chrt_id, ())) for offer in catalogue.describe(chrt_ids)]
    return Answer(200, msgspec.json.encode({"items": items}))


def totals_by_type(fbo: Sequence[FboStock], fbs: Sequence[FbsStock]) -> list[tuple[str, int, int]]:
    """What lies with Ozon and with the seller: its name, `present` and `reserved`."""
    return [
        (name, sum(stock.present for stock in stocks), sum(stock.reserved for stock in stocks))
        for name, stocks in (("fbo", fbo), ("fbs", fbs))
    ]


def _describe(offer: Offer, fbo: Sequence[FboStock], fbs: Sequence[FbsStock]) -> dict[str, object]:
    product, price, has_stock = offer.product, offer.price, bool(fbo or fbs)
    status, status_name = _status(offer, has_stock=has_stock)
    images = [f"https://images.example.invalid/multimedia/{offer.sku}-{number}.jpg" for number in range(1, product.photos + 1)]
    fee = float(price.discounted) * 0.18
    return {
        "id": offer.product_id,
        "offer_id": offer.offer_id,
        "sku": offer.sku,
        "name": offer.name,
        "barcodes": offer.size.barcodes,
        "images": images,
        "primary_image": images[:1],
        "color_image": list[str](),
        "description_category_id": 17_028_000 + product.kind.subject_id,
        "type_id": 94_000 + product.kind.subject_id,
        "created_at": product.created_at,
        "updated_at": product.updated_at,
        "currency_code": "RUB",
        "price": as_text(price.discounted),
        "old_price": as_text(price.price if price.discount else 0),
        "min_price": "",
        "declared_price": {"amount": as_text(price.discounted), "currency": "RUB"},
        "vat": "0.05",
        "is_archived": offer.archived,
        "is_autoarchived": offer.archived_by_ozon,
        "is_discounted": False,
        "is_kgt": False,
        "is_super": False,
        "is_prepayment_allowed": True,
        "has_discounted_fbo_item": False,
        "discounted_fbo_stocks": 0,
        "volume_weight": _litres(offer),
        "commissions": [
            {"sale_schema": schema, "percent": 18, "value": round(fee, 2), "delivery_amount": 0, "return_amount": 0}
            for schema in ("FBO", "FBS")
        ],
        "sources": [
            {
                "sku": offer.sku,
                "source": "sds",
                "created_at": product.created_at,
                "shipment_type": "SHIPMENT_TYPE_GENERAL",
                "quant_code": "",
            }
        ],
        "stocks": {
            "has_stock": has_stock,
            "stocks": [
                {"sku": offer.sku, "source": name, "present": present, "reserved": reserved}
                for name, present, reserved in totals_by_type(fbo, fbs)
                if present
            ],
        },
        "statuses": {
            "status": status,
            "status_failed": "",
            "status_name": status_name,
            "status_description": "",
            "status_tooltip": "",
            "moderate_status": "approved",
            "validation_status": "success",
            "is_created": True,
            "status_updated_at": product.updated_at,
        },
        "visibility_details": {"has_price": True, "has_stock": has_stock},
        "price_indexes": _INDEXES,
        "availabilities": list[object](),
        "errors": list[object](),
        "promotions": [{"type": "REVIEWS_PROMO", "is_enabled": offer.sku % 5 == 0}],
        "model_info": {"model_id": product.group_id, "count": len(product.sizes)},
    }


def _status(offer: Offer, *, has_stock: bool) -> tuple[str, str]:
    if offer.archived:
        return "archived", "В архиве"
    return ("price_sent", "Продаётся") if has_stock else ("price_sent", "Готов к продаже")


def _litres(offer: Offer) -> float:
    """The volume weight: a litre counts as 200 grams, but a tenth of a kilogram is the least."""
    kind = offer.product.kind
    return max(0.1, round(kind.length_cm * kind.width_cm * kind.height_cm / 5000, 1))
