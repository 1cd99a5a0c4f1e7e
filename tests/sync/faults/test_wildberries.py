"""Everything that Wildberries can do to a run, on one page. See `Case` for what a row says; app/sandbox/faults.py for what a fault is."""

import pytest

from app.marketplaces.wildberries.methods import CARDS_LIST, CARDS_TRASH, GOODS_PRICES, ORDER_FEED, SELLER_WAREHOUSES, WB_WAREHOUSES, Method
from tests.sync.faults.matrix import Case, go_through
from tests.sync.faults.seller import Seller

pytestmark = pytest.mark.anyio

METHOD_OF_STAGE = {"products": CARDS_LIST, "prices": GOODS_PRICES, "stocks": WB_WAREHOUSES, "orders": ORDER_FEED}

DOWN = "marketplace_unavailable"
NO_ANSWER = ("Маркетплейс не отвечает. Мы попробуем ещё раз по расписанию.", "No whole answer from 127.0.0.1.")
NOT_AS_DESCRIBED = "Wildberries ответил на {path} не так, как описано."

# The transport makes five attempts, so a burst of four is not noticed.
FAULTS = [
    Case("server_error", {"times": 4}, "succeeded", "succeeded"),
    Case("server_error", {"times": 5}, "partial", "failed", DOWN, "Wildberries не работает (статус 500).", "Wildberries is out of order (status 500)."),
    Case("disconnect", {"times": 4}, "succeeded", "succeeded"),
    Case("disconnect", {"times": 5}, "partial", "failed", DOWN, *NO_ANSWER),
    Case("cut", {"times": 5}, "partial", "failed", DOWN, *NO_ANSWER),
    Case("reset", {"times": 4}, "succeeded", "succeeded"),
    Case("reset", {"times": 5}, "partial", "failed", DOWN, *NO_ANSWER),
    Case("truncated", {"times": 4}, "succeeded", "succeeded"),
    Case("truncated", {"times": 5}, "partial", "failed", DOWN, "Ответ {path} оборван.", "The answer of {path} is cut short."),
    Case("trickle", {"delay_ms": 100}, "succeeded", "succeeded"),
    Case("html", {}, "partial", "failed", "unexpected_response", NOT_AS_DESCRIBED, "{path}: It is not well-formed JSON."),
    Case("undocumented", {}, "partial", "failed", "unexpected_response", NOT_AS_DESCRIBED, "{path}: Object missing required field *"),
    Case("unauthorized", {}, "failed", "failed", "credentials_rejected", "Wildberries не принимает этот ключ.", "Wildberries does not accept the key."),
    Case(
        "payment_required", {}, "partial", "failed", "marketplace_error",
        "Wildberries ждёт оплаты от владельца этого сервиса.", "Wildberries asks the operator of this service for payment.",
    ),
    Case("rate_limited", {"retry_s": 2}, "succeeded", "succeeded"),
    Case(
        "rate_limited", {"retry_s": 7200}, "queued", "pending", "marketplace_rate_limited",
        "Маркетплейс просит подождать 2 ч.", "The marketplace asked us to wait 2 h.",
    ),
    Case(
        "rate_limited_globally", {"retry_s": 3582}, "queued", "pending", "marketplace_rate_limited",
        "Маркетплейс просит подождать 60 мин.", "The marketplace asked us to wait 60 min.",
    ),
    Case("duplicate_items", {}, "succeeded", "succeeded"),
]  # fmt: skip

GONE = Case(
    "method_gone", {}, "partial", "failed", "marketplace_method_gone",
    "Wildberries больше не предлагает {path} или временно отключил этот метод.", "Wildberries no longer offers {path}, or has switched it off for now.",
)  # fmt: skip


@pytest.mark.parametrize("stage", METHOD_OF_STAGE)
@pytest.mark.parametrize("case", FAULTS, ids=lambda case: f"{case.kind}-{case.run}")
async def test_a_fault_of_one_stage_is_told_keeps_what_is_there_and_passes(wildberries: Seller, stage: str, case: Case) -> None:
    await go_through(wildberries, stage, METHOD_OF_STAGE[stage].path, case)


@pytest.mark.parametrize("stage", ["products", "prices", "stocks"])
async def test_a_method_that_is_gone_is_told_by_its_name(wildberries: Seller, stage: str) -> None:
    await go_through(wildberries, stage, METHOD_OF_STAGE[stage].path, GONE)


@pytest.mark.parametrize(
    ("method", "stage", "case"),
    [
        # The statistics of orders tell what the feed does not.
        (ORDER_FEED, "orders", GONE._replace(run="succeeded", stage="succeeded")),
        (CARDS_TRASH, "products", Case("server_error", {"times": 4}, "succeeded", "succeeded")),
        (SELLER_WAREHOUSES, "stocks", Case("bad_gateway", {"times": 4}, "succeeded", "succeeded")),
        (GOODS_PRICES, "prices", Case("unavailable", {"times": 4}, "succeeded", "succeeded")),
    ],
    ids=lambda value: getattr(value, "path", None) or getattr(value, "kind", None),
)
async def test_other_ways_lead_to_the_truth_at_once(wildberries: Seller, method: Method, stage: str, case: Case) -> None:
    await go_through(wildberries, stage, method.path, case)
