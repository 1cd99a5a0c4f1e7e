"""Where goods lie that Ozon sells: its own warehouses (FBO), and the seller's by the ids that Ozon gives them (FBS)."""

from typing import NamedTuple

_SELLER_WAREHOUSE_IDS = 22_000_000_000_000


class OzonWarehouse(NamedTuple):
    """`cluster` is the region that Ozon supplies from there."""

    id: int
    name: str
    cluster: str


OZON_WAREHOUSES = tuple(
    OzonWarehouse(1_020_000_000_001 + number * 1_000, name, cluster)
    for number, (name, cluster) in enumerate(
        (
            ("ХОРУГВИНО_РФЦ", "Москва, МО и Дальние регионы"),
            ("СОФЬИНО_РФЦ", "Москва, МО и Дальние регионы"),
            ("САНКТ_ПЕТЕРБУРГ_РФЦ", "Санкт-Петербург и СЗО"),
            ("КАЗАНЬ_РФЦ_НОВЫЙ", "Казань"),
            ("ЕКАТЕРИНБУРГ_РФЦ_НОВЫЙ", "Урал"),
            ("НОВОРОССИЙСК_МРФЦ", "Юг"),
            ("НОВОСИБИРСК_РФЦ_НОВЫЙ", "Сибирь"),
            ("ХАБАРОВСК_2_РФЦ", "Дальний Восток"),
        )
    )
)


def seller_warehouse_id(warehouse_id: int) -> int:
    """Ozon's id of one of the shop's own warehouses."""
    return _SELLER_WAREHOUSE_IDS + warehouse_id


def shop_warehouse_id(ozon_id: int) -> int:
    """The way back; it may be none that the shop has."""
    return ozon_id - _SELLER_WAREHOUSE_IDS
