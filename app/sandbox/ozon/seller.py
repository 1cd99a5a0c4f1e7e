"""What a key is told of itself and of its shop: `POST /v1/roles` and `POST /v1/seller/info`. Neither needs a body.

Source: docs.ozon.ru/api/seller, state of 2026-10-01; that `past_value` may be null was seen live.
"""

from datetime import UTC, datetime

import msgspec

from app.sandbox.messages import Answer
from app.sandbox.ozon.call import Call


def tell_roles(call: Call) -> Answer:
    roles = [{"name": role, "methods": call.key.methods_of(role)} for role in call.key.roles]
    return Answer(200, msgspec.json.encode({"expires_at": datetime.fromtimestamp(call.key.expires_at_s, UTC), "roles": roles}))


def tell_seller(call: Call) -> Answer:
    seller = call.catalogue.shop.seller
    month = call.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Answer(
        200,
        msgspec.json.encode(
            {
                "company": {
                    "country": "RUS",
                    "currency": "RUB",
                    "inn": seller.tin,
                    "legal_name": seller.name,
                    "name": seller.trade_mark,
                    "ogrn": f"3{seller.tin}00",
                    "ownership_form": "ИП",
                    "tax_system": "USN",
                },
                "ratings": [
                    {
                        "name": "Процент отмен по вине продавца",
                        "rating": "rating_on_time",
                        "status": "OK",
                        "value_type": "PERCENT",
                        "current_value": {
                            "date_from": month,
                            "date_to": call.now,
                            "formatted": "0.5 %",
                            "value": 0.5,
                            "status": {"danger": False, "premium": False, "warning": False},
                        },
                        "past_value": None,
                    }
                ],
                "subscription": {"is_premium": False, "type": "UNSPECIFIED"},
            }
        ),
    )
