"""Sums of money in the ways in which Ozon writes them."""

from decimal import ROUND_HALF_UP, Decimal

from app.sandbox.goods import Price

_KOPECKS = Decimal("0.01")


def after_promotions(price: Price) -> Decimal:
    """What the seller asks when a promotion of its own is on; the sandbox takes the club's discount for one."""
    return price.club_discounted.quantize(_KOPECKS, ROUND_HALF_UP)


def as_text(amount: Decimal | int) -> str:
    """As product cards have it: "1299.00"."""
    return str(Decimal(amount).quantize(_KOPECKS))


def as_short_text(amount: Decimal) -> str:
    """As some orders have it: without kopecks where there are none, "1299"."""
    return str(int(amount)) if amount == int(amount) else as_text(amount)


def as_number(amount: Decimal | int) -> float:
    """As prices are listed: 1299, or 1299.5."""
    return int(amount) if amount == int(amount) else float(amount)
