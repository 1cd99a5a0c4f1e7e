"""`POST /v5/product/info/prices`: what products cost.

Source: docs.ozon.ru/api/seller, state of 2026-10-01.
"""

import msgspec

from app.sandbox.messages import Answer
from app.sandbox.ozon.call import Call, Filter, select
from app.sandbox.ozon.catalogue import Offer
from app.sandbox.ozon.money import after_promotions, as_number, as_short_text


class PricesQuestion(msgspec.Struct, frozen=True):
    filter: Filter | None = None
    cursor: str = ""
    limit: int | None = None


_decoder = msgspec.json.Decoder(PricesQuestion, strict=False)

_COMMISSIONS = msgspec.Raw(
    b'{"sales_percent_fbo":18,"sales_percent_fbs":20,"sales_percent_rfbs":20,"sales_percent_fbp":18,"fbo_deliv_to_customer_amount":25,'
    b'"fbo_direct_flow_trans_min_amount":60,"fbo_direct_flow_trans_max_amount":60.5,"fbo_return_flow_amount":50,"fbs_deliv_to_customer_amount":25,'
    b'"fbs_direct_flow_trans_min_amount":70,"fbs_direct_flow_trans_max_amount":70,"fbs_first_mile_min_amount":10,"fbs_first_mile_max_amount":25,'
    b'"fbs_return_flow_amount":50}'
)
_INDEXES = msgspec.Raw(
    b'{"color_index":"WITHOUT_INDEX","external_index_data":{"min_price":0,"min_price_currency":"","price_index_value":0},'
    b'"ozon_index_data":{"min_price":0,"min_price_currency":"","price_index_value":0},'
    b'"self_marketplaces_index_data":{"min_price":0,"min_price_currency":"","price_index_value":0}}'
)
_PROMOTION = msgspec.Raw(
    '{"current_period_from":"2026-11-01T00:00:00Z","current_period_to":null,"ozon_actions_exist":true,"actions":[{"date_from":'
    '"2026-11-01T00:00:00Z","date_to":"2026-12-01T00:00:00Z","title":"Скидка от продавца","value":5}]}'.encode()
)


def list_prices(call: Call) -> Answer:
    question = call.read(_decoder)
    page = select(call, "GetProductInfoPricesRequest", question.filter, question.cursor, question.limit)
    items = [_describe(offer) for offer in call.catalogue.describe(page.chrt_ids)]
    return Answer(200, msgspec.json.encode({"cursor": page.cursor, "items": items, **call.counted(page.total)}))


def _describe(offer: Offer) -> dict[str, object]:
    price = offer.price
    asked = as_number(price.discounted)
    return {
        "product_id": offer.product_id,
        "offer_id": offer.offer_id,
        "acquiring": round(asked * 0.015, 2),
        "volume_weight": offer.product.kind.weight_kg,
        "price": {
            "price": asked,
            "old_price": price.price if price.discount else 0,
            "min_price": 0,
            "marketing_seller_price": as_number(after_promotions(price)),
            "net_price": 0,
            "retail_price": 0,
            "vat": 0.05,
            "currency_code": "RUB",
            "auto_action_enabled": True,
            "auto_add_to_ozon_actions_list_enabled": False,
            "declared_price": {"amount": as_short_text(price.discounted), "currency": "RUB"},
        },
        "commissions": _COMMISSIONS,
        "price_indexes": _INDEXES,
        "marketing_actions": _PROMOTION if price.club_discount else None,
    }
