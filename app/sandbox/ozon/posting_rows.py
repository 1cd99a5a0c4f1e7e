"""Parcels, field by field, in the words of Ozon's two lists. What their descriptions know and a parcel of the sandbox never has is null or empty.

Source: docs.ozon.ru/api/seller, state of 2026-10-01.
"""

from collections.abc import Iterator
from datetime import timedelta

from app.sandbox.orders import CancelType, OrderLine
from app.sandbox.ozon.catalogue import Catalogue, Offer, sku_of
from app.sandbox.ozon.money import after_promotions, as_number, as_short_text, as_text
from app.sandbox.ozon.parcels import Parcel
from app.sandbox.ozon.storage import OZON_WAREHOUSES, OzonWarehouse, seller_warehouse_id

_SUBSTATUSES = {
    "awaiting_packaging": "posting_created",
    "awaiting_deliver": "posting_in_carriage",
    "delivering": "posting_on_way_to_city",
    "delivered": "posting_received",
    "cancelled": "posting_canceled",
}
_ACTIONS: dict[str, list[str]] = {"awaiting_packaging": ["cancel", "ship"], "awaiting_deliver": ["cancel", "has_barcode_for_printing"]}

# Who cancelled, why, and by which of Ozon's numbers.
_CANCELLATIONS: dict[CancelType, tuple[int, str, str, str]] = {
    "app": (501, "Покупатель отменил заказ", "client", "Клиент"),
    "receipt": (502, "Покупатель отказался при получении", "client", "Клиент"),
    "expire": (401, "Истёк срок сборки", "ozon", "Ozon"),
    "other": (352, "Товар закончился на складе продавца", "seller", "Продавец"),
}
_SHIPS_WITHIN = timedelta(days=1)
_ARRIVES_WITHIN = timedelta(days=4)
_ENTERED_AFTER = timedelta(seconds=16)


def order_id_of(parcel: Parcel) -> int:
    return 33_000_000_000 + parcel.order.number


def describe_fbs(catalogue: Catalogue, parcel: Parcel, *, analytics: bool, financial: bool, barcodes: bool) -> dict[str, object]:
    order, ship_by = parcel.order, parcel.order.ordered_at + _SHIPS_WITHIN
    warehouse_id, warehouse = seller_warehouse_id(order.warehouse_id), catalogue.shop.warehouse(order.warehouse_id).name
    barcode = f"{order_id_of(parcel)}{parcel.turn:03d}"
    travels = parcel.status in ("delivering", "delivered")
    return {
        "posting_number": parcel.number,
        "order_id": order_id_of(parcel),
        "order_number": parcel.order_number,
        "parent_posting_number": "",
        "status": parcel.status,
        "substatus": _SUBSTATUSES[parcel.status],
        "delivery_schema": "fbs",
        "tpl_integration_type": "ozon",
        "integration_type_flow": "ozon",
        "in_process_at": order.ordered_at,
        "shipment_date": ship_by,
        "shipment_date_without_delay": ship_by,
        "delivering_date": parcel.changed_at if parcel.status == "delivering" else None,
        "tracking_number": barcode if travels else "",
        "scanit": f"ii{barcode}",
        "is_express": False,
        "is_multibox": False,
        "multi_box_qty": 1,
        "is_presortable": False,
        "is_click_and_collect": False,
        "prr_option": "",
        "quantum_id": 0,
        "require_blr_traceable_attrs": False,
        "container_sort_type": "",
        "destination_place_id": 0,
        "destination_place_name": "",
        "pickup_code_verified_at": None,
        "volume_weight": 0.4,
        "delivery_method": {
            "id": warehouse_id,
            "name": f"Доставка Ozon, {warehouse}",
            "warehouse_id": warehouse_id,
            "warehouse": warehouse,
            "tpl_provider_id": 24,
            "tpl_provider": "Доставка Ozon",
        },
        "cancellation": _fbs_cancellation(parcel),
        "customer": None,
        "addressee": None,
        "barcodes": {"lower_barcode": barcode, "upper_barcode": barcode} if barcodes else None,
        "legal_info": None,
        "container": None,
        "sorting_center": None,
        "external_order": {"is_external": False, "platform_name": ""},
        "optional": {"products_with_possible_mandatory_mark": list[str]()},
        "tariffication": None,
        "tariffication_steps": list[object](),
        "products": [
            {
                **_product(offer, line),
                "price": {"amount": as_short_text(line.price.discounted), "currency": "RUB"},
                "product_color": offer.product.colour,
                "weight": offer.product.kind.weight_kg,
                "imei": list[str](),
                "is_blr_traceable": False,
                "is_marketplace_buyout": False,
            }
            for offer, line in _offers(catalogue, parcel)
        ],
        "analytics_data": {
            "city": order.city,
            "region": order.district,
            "delivery_type": "PVZ",
            "is_legal": False,
            "is_premium": False,
            "payment_type_group_name": "Ozon Банк",
            "tpl_provider": "Доставка Ozon",
            "tpl_provider_id": 24,
            "warehouse": warehouse,
            "warehouse_id": warehouse_id,
            "delivery_date_begin": order.ordered_at + _ARRIVES_WITHIN,
            "delivery_date_end": order.ordered_at + _ARRIVES_WITHIN + timedelta(hours=12),
            "client_delivery_date_begin": None,
            "client_delivery_date_end": None,
        }
        if analytics
        else None,
        "financial_data": {
            "cluster_from": "Москва, МО и Дальние регионы",
            "cluster_to": order.city,
            "products": [
                {
                    **_sum(line),
                    "quantity": line.units,
                    "customer_price": {"amount": as_short_text(after_promotions(line.price)), "currency": "RUB"},
                }
                for line in parcel.lines
            ],
        }
        if financial
        else None,
        "available_actions": _ACTIONS.get(parcel.status, []),
        "requirements": {
            f"products_requiring_{name}": list[str]()
            for name in ("change_country", "country", "gtd", "imei", "jw_uin", "mandatory_mark", "rnpt", "weight")
        },
    }


def describe_fbo(catalogue: Catalogue, parcel: Parcel, *, analytics: bool, financial: bool) -> dict[str, object]:
    order, warehouse = parcel.order, _ships_from(parcel)
    reason_id, reason, kind, initiator = _CANCELLATIONS[order.cancel_type or "other"]
    cancelled = parcel.status == "cancelled"
    return {
        "posting_number": parcel.number,
        "order_id": order_id_of(parcel),
        "order_number": parcel.order_number,
        "status": parcel.status,
        "substatus": _SUBSTATUSES[parcel.status],
        "created_at": order.ordered_at,
        "in_process_at": order.ordered_at + _ENTERED_AFTER,
        "cancel_reason_id": reason_id if cancelled else 0,
        "cancellation": {"cancel_reason": reason, "cancellation_type": kind, "cancellation_initiator": initiator} if cancelled else None,
        "additional_data": list[object](),
        "external_order": {"is_external": False, "platform_name": ""},
        "legal_info": None,
        "products": [
            {
                **_product(offer, line),
                "price": {"amount": as_text(line.price.discounted), "currency": "RUB"},
                "digital_codes": list[str](),
                "is_marketplace_buyout": False,
            }
            for offer, line in _offers(catalogue, parcel)
        ],
        "analytics_data": {
            "city": order.city,
            "delivery_type": "PVZ",
            "is_legal": False,
            "is_premium": False,
            "payment_type_group_name": "Система Быстрых Платежей",
            "warehouse_id": warehouse.id,
            "warehouse_name": warehouse.name,
            "client_delivery_date_begin": None,
            "client_delivery_date_end": None,
        }
        if analytics
        else None,
        # Seen live: null while nothing was paid.
        "financial_data": {"cluster_from": warehouse.cluster, "cluster_to": order.city, "products": [_sum(line) for line in parcel.lines]}
        if financial and parcel.status != "awaiting_packaging"
        else None,
    }


def _ships_from(parcel: Parcel) -> OzonWarehouse:
    return OZON_WAREHOUSES[parcel.order.number % len(OZON_WAREHOUSES)]


def _offers(catalogue: Catalogue, parcel: Parcel) -> Iterator[tuple[Offer, OrderLine]]:
    return zip(catalogue.describe(line.chrt_id for line in parcel.lines), parcel.lines, strict=True)


def _product(offer: Offer, line: OrderLine) -> dict[str, object]:
    return {"sku": offer.sku, "offer_id": offer.offer_id, "name": offer.name, "quantity": line.units}


def _sum(line: OrderLine) -> dict[str, object]:
    """Ozon's `product_id` is a SKU here."""
    saved = line.price.price - line.price.discounted
    return {
        "product_id": sku_of(line.chrt_id),
        "price": as_number(line.price.discounted),
        "old_price": line.price.price,
        "payout": 0,
        "total_discount_value": as_number(saved),
        "total_discount_percent": line.price.discount,
        "actions": list[str](),
        "commission": {"amount": 0, "currency": "RUB", "percent": 0},
    }


def _fbs_cancellation(parcel: Parcel) -> dict[str, object]:
    """Full of zeros where nothing was cancelled."""
    cancel_type = parcel.order.cancel_type if parcel.status == "cancelled" else None
    reason_id, reason, kind, initiator = _CANCELLATIONS[cancel_type] if cancel_type else (0, "", "", "")
    return {
        "cancel_reason_id": reason_id,
        "cancel_reason": reason,
        "cancellation_type": kind,
        "cancellation_initiator": initiator,
        "cancelled_after_ship": cancel_type == "receipt",
        "affect_cancellation_rating": cancel_type == "other",
    }
