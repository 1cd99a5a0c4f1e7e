"""Everything that Ozon can do to a run, on one page. See `Case` for what a row says; app/sandbox/faults.py for what a fault is."""

import pytest

from app.marketplaces.ozon.methods import (
    FBO_POSTINGS,
    FBO_STOCKS,
    FBS_POSTINGS,
    FBS_STOCKS,
    OZON_WAREHOUSES,
    PRICES,
    PRODUCT_INFO,
    PRODUCT_LIST,
    Method,
)
from tests.sync.faults.matrix import Case, go_through
from tests.sync.faults.seller import Seller

pytestmark = pytest.mark.anyio

METHOD_OF_STAGE = {"products": PRODUCT_LIST, "prices": PRICES, "stocks": FBS_STOCKS, "orders": FBS_POSTINGS}

DOWN, REJECTED, LIMITED = "marketplace_unavailable", "credentials_rejected", "marketplace_rate_limited"
NO_ANSWER = ("Маркетплейс не отвечает. Мы попробуем ещё раз по расписанию.", "No whole answer from 127.0.0.1.")
NOT_AS_DESCRIBED = "Ozon ответил на {path} не так, как описано."
GONE = ("marketplace_method_gone", "Ozon больше не предлагает {path}.", "Ozon no longer offers {path}.")

# The transport makes five attempts, so a burst of four is not noticed.
FAULTS = [
    Case("server_error", {"times": 4}, "succeeded", "succeeded"),
    Case("server_error", {"times": 5}, "partial", "failed", DOWN, "Ozon не работает (статус 500).", "Ozon is out of order (status 500)."),
    Case("unavailable", {"times": 5}, "partial", "failed", DOWN, "Ozon не работает (статус 503).", "Ozon is out of order (status 503)."),
    Case("disconnect", {"times": 4}, "succeeded", "succeeded"),
    Case("disconnect", {"times": 5}, "partial", "failed", DOWN, *NO_ANSWER),
    Case("reset", {"times": 5}, "partial", "failed", DOWN, *NO_ANSWER),
    Case("truncated", {"times": 5}, "partial", "failed", DOWN, "Ответ {path} оборван.", "The answer of {path} is cut short."),
    Case("trickle", {"delay_ms": 100}, "succeeded", "succeeded"),
    Case("html", {}, "partial", "failed", "unexpected_response", NOT_AS_DESCRIBED, "{path}: It is not well-formed JSON."),
    Case("undocumented", {}, "partial", "failed", "unexpected_response", NOT_AS_DESCRIBED, "{path}: Object missing required field *"),
    Case(
        "unauthorized", {}, "failed", "failed", REJECTED,
        "Ozon не принимает эту пару Client-Id и Api-Key.", "Ozon does not accept this pair of Client-Id and Api-Key.",
    ),
    Case(
        "key_deactivated", {}, "failed", "failed", REJECTED,
        "Ozon сообщает, что ключ деактивирован: истёк или отозван. Создайте новый.",
        "Ozon says that the key is deactivated: it expired, or was revoked. Make a new one.",
    ),
    Case("ip_restricted", {}, "failed", "failed", REJECTED, "Ключ ограничен по IP-адресам, *", "The key is restricted to IP addresses, *"),
    Case(
        "role_missing", {}, "partial", "skipped", "scope_missing",
        "У ключа нет роли для {path}. Создайте новый с ролью «Admin read only».",
        "The key has no role for {path}. Make a new one with the role “Admin read only”.",
    ),
    Case(
        "payment_required", {}, "partial", "skipped", "scope_missing",
        "Ozon открывает {path} только магазинам с подпиской Premium.", "Ozon opens {path} only to shops with a Premium subscription.",
    ),
    Case(
        "company_blocked", {}, "partial", "failed", "shop_blocked",
        "Ozon заблокировал магазин. Обратитесь в поддержку Ozon.", "Ozon has blocked the shop. Its support tells why.",
    ),
    Case(
        "offer_not_signed", {}, "partial", "failed", "shop_blocked",
        "Ozon ждёт, пока продавец подпишет новую оферту в личном кабинете.", "Ozon waits for the seller to sign its new offer in the cabinet.",
    ),
    Case("method_gone", {}, "partial", "failed", *GONE),
    Case("method_obsolete", {}, "partial", "failed", *GONE),
    Case("rate_limited", {"retry_s": 2}, "succeeded", "succeeded"),
    Case(
        "rate_limited", {"retry_s": 7200}, "queued", "pending", LIMITED,
        "Маркетплейс просит подождать 2 ч.", "The marketplace asked us to wait 2 h.",
    ),
    Case(
        "circle_open", {}, "queued", "pending", LIMITED,
        "Маркетплейс просит подождать 5 мин.", "The marketplace asked us to wait 5 min.",
    ),
    Case("duplicate_items", {}, "succeeded", "succeeded"),
    Case("promised_page", {}, "succeeded", "succeeded"),
]  # fmt: skip


@pytest.mark.parametrize("stage", METHOD_OF_STAGE)
@pytest.mark.parametrize("case", FAULTS, ids=lambda case: f"{case.kind}-{case.run}")
async def test_a_fault_of_one_stage_is_told_keeps_what_is_there_and_passes(ozon: Seller, stage: str, case: Case) -> None:
    if stage in ("stocks", "orders") and case.stage == "skipped":
        # Stock in Ozon's own warehouses, and orders out of them, are other methods', and come.
        case = case._replace(stage="partial")
    await go_through(ozon, stage, METHOD_OF_STAGE[stage].path, case)


@pytest.mark.parametrize(
    ("method", "stage", "case"),
    [
        (PRODUCT_INFO, "products", Case("server_error", {"times": 4}, "succeeded", "succeeded")),
        (FBO_STOCKS, "stocks", Case("bad_gateway", {"times": 4}, "succeeded", "succeeded")),
        (FBO_POSTINGS, "orders", Case("cut", {"times": 4}, "succeeded", "succeeded")),
        # Without the names of its warehouses, stock is told by their numbers.
        (OZON_WAREHOUSES, "stocks", Case("method_gone", {}, "succeeded", "succeeded")),
    ],
    ids=lambda value: getattr(value, "path", None) or getattr(value, "kind", None),
)
async def test_other_ways_lead_to_the_truth_at_once(ozon: Seller, method: Method, stage: str, case: Case) -> None:
    await go_through(ozon, stage, method.path, case)
