"""A spreadsheet and its service account: read, kept, shown, taken back."""

import json
from typing import Any

import pytest

from app.credentials.google import LONGEST_MASK, SheetId, read_service_account
from app.credentials.store import get_google_credentials, update_google_credentials
from app.errors import CredentialsMissing
from app.marketplaces.errors import CredentialsRejected
from app.secret import Secret
from tests.application import Shop
from tests.credentials.google import EMAIL, SHEET, as_text, private_key, service_account
from tests.credentials.keys import told
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio

COLUMNS = "SELECT google_sheet_id, google_credentials_encrypted FROM tenants WHERE id = $1"


@pytest.mark.parametrize("text", [
    SHEET,
    f"  {SHEET}\n",
    f"https://docs.google.com/spreadsheets/d/{SHEET}",
    f"https://docs.google.com/spreadsheets/d/{SHEET}/edit?gid=0#gid=0",
    f"https://docs.google.com/spreadsheets/u/1/d/{SHEET}/edit",
])  # fmt: skip
def test_the_id_of_a_spreadsheet_is_cut_out_of_its_address(text: str):
    assert SheetId.parse(text) == SHEET


@pytest.mark.parametrize("text", [
    "", "short", "x" * 101, f"https://example.com/spreadsheets/d/{SHEET}", f"http://docs.google.com/spreadsheets/d/{SHEET}", f"{SHEET}/../..", "1Bxi MVs0XRA5nFMdKvBdBZ",
    f"https://docs.google.com.example.com/spreadsheets/d/{SHEET}", "таблица" * 4,
])  # fmt: skip
def test_what_is_no_spreadsheet_is_refused(text: str):
    with pytest.raises(ValueError, match="Google spreadsheet"):
        SheetId.parse(text)


@pytest.mark.parametrize(("changed", "reason"), [
    ({"type": "authorized_user"}, "`type`"),
    ({"type": None}, "`type`"),
    ({"client_email": "somebody@gmail.com"}, "`client_email`"),
    ({"client_email": "stocks@evil.example/gserviceaccount.com"}, "`client_email`"),
    ({"client_email": None}, "`client_email`"),
    ({"token_uri": "http://169.254.169.254/token"}, "`token_uri`"),
    ({"token_uri": "https://oauth2.googleapis.com.example.com/token"}, "`token_uri`"),
    ({"token_uri": ["https://oauth2.googleapis.com/token"]}, "`token_uri`"),
    ({"universe_domain": "example.com"}, "`token_uri`"),
    ({"private_key": "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"}, "`private_key`"),
    ({"private_key": private_key(1024)}, "`private_key`"),
    ({"private_key": private_key(2048, "locked")}, "`private_key`"),
    ({"private_key": 5}, "`private_key`"),
    ({"private_key_id": "нет"}, "`private_key_id`"),
], ids=[f"case{n}" for n in range(14)])  # fmt: skip
def test_what_is_no_usable_service_account_is_refused_and_nothing_of_it_repeated(changed: dict[str, Any], reason: str):
    with pytest.raises(CredentialsRejected) as raised:
        read_service_account(Secret(as_text(**changed)))

    assert reason in raised.value.detail
    assert raised.value.detail_ru
    for value in changed.values():
        assert str(value) not in raised.value.detail.replace("`service_account`", "") or value in (None, 5)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null", '"x"', "[" * 20_000, "{"])
def test_what_is_no_json_object_is_refused(text: str):
    with pytest.raises(CredentialsRejected, match="JSON"):
        read_service_account(Secret(text))


def test_line_breaks_that_a_form_doubled_are_mended():
    account = read_service_account(Secret(as_text(private_key=private_key().replace("\n", "\\n"))))

    assert account.private_key.reveal() == private_key()


@pytest.mark.parametrize(("email", "shown"), [
    (EMAIL, "stocks@my-shop"),
    ("a-long-name-of-an-account@and-a-long-project.iam.gserviceaccount.com", "a-long-name…-project"),
    ("123456-compute@developer.gserviceaccount.com", "123456-comp…eveloper"),
])  # fmt: skip
def test_an_account_is_shown_by_its_name_and_project(email: str, shown: str):
    account = read_service_account(Secret(as_text(client_email=email)))

    assert account.masked() == shown
    assert len(shown) <= LONGEST_MASK


async def test_both_parts_are_kept_and_one_alone_is_not_enough(clean_database):
    tenant = await create_tenant()

    with pytest.raises(CredentialsMissing, match="google_sheet_id and no google_credentials_json"):
        await get_google_credentials(tenant)
    await update_google_credentials(tenant, None, service_account())
    with pytest.raises(CredentialsMissing, match="google_sheet_id"):
        await get_google_credentials(tenant)
    await update_google_credentials(tenant, f"https://docs.google.com/spreadsheets/d/{SHEET}/edit", None)

    stored = await get_google_credentials(tenant)
    assert (stored.sheet_id, stored.account.client_email, stored.account.private_key.reveal()) == (SHEET, EMAIL, private_key())
    assert private_key() not in repr(stored)


@pytest.mark.parametrize("form", ["object", "string"])
async def test_a_seller_gives_both_at_once_and_sees_the_account_shortened(shop: Shop, form: str):
    given = service_account() if form == "object" else as_text()

    answer = await shop.call("PATCH", "/tenants/me/credentials", json={"google_sheet_id": SHEET, "google_credentials_json": given})

    assert answer.status_code == 200, answer.text
    shown = await told(shop, "google")
    assert (shown["configured"], shown["status"], shown["masked"]) == (True, "unverified", "stocks@my-shop")
    assert "Редактор" in shown["advice"]
    assert "PRIVATE KEY" not in answer.text
    assert (await shop.expect(200, "GET", "/tenants/me"))["google_sheet_id"] == SHEET
    [(_, sealed)] = await shop.rows(COLUMNS)
    assert sealed.startswith("v1.")
    assert "stocks" not in sealed


async def test_a_part_that_is_not_given_stays(shop: Shop):
    await shop.expect(200, "PATCH", "/tenants/me/credentials", json={"google_sheet_id": SHEET})
    alone = await told(shop, "google")
    await shop.expect(200, "PATCH", "/tenants/me/credentials", json={"google_credentials_json": service_account()})
    other = SHEET[::-1]

    await shop.expect(200, "PATCH", "/tenants/me/credentials", json={"google_sheet_id": other})

    stored = await get_google_credentials(shop.tenant_id)
    assert (stored.sheet_id, stored.account.client_email) == (other, EMAIL)
    assert (alone["masked"], alone["advice"]) == ("1BxiMVs0…upms", "Не хватает ключа сервисного аккаунта: нужен файл JSON из Google Cloud.")
    assert (await told(shop, "google"))["masked"] == "stocks@my-shop"


@pytest.mark.parametrize(("body", "code"), [
    ({"google_sheet_id": "nonsense"}, "validation_failed"),
    ({"google_sheet_id": None}, "validation_failed"),
    ({"google_sheet_id": {"a": 1}}, "validation_failed"),
    ({"google_credentials_json": ""}, "validation_failed"),
    ({"google_credentials_json": 5}, "validation_failed"),
    ({"google_credentials_json": []}, "validation_failed"),
    ({"google_credentials_json": {"type": "x" * 20_000}}, "validation_failed"),
    ({"google_credentials_json": {}}, "credentials_rejected"),
    ({"google_credentials_json": "{"}, "credentials_rejected"),
    ({"google_credentials_json": {"type": "service_account", "private_key": "a marked secret"}}, "credentials_rejected"),
], ids=[f"body{n}" for n in range(10)])  # fmt: skip
async def test_a_wrong_part_is_named_and_changes_nothing(shop: Shop, body: dict[str, Any], code: str):
    answer = await shop.call("PATCH", "/tenants/me/credentials", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert [error["field"] for error in answer.json()["errors"]] == list(body)
    assert "marked" not in answer.text
    assert await shop.rows(COLUMNS) == [(None, None)]


async def test_a_rejected_marketplace_key_keeps_the_spreadsheet_away_too(shop: Shop):
    body = {"wildberries_api_key": "nonsense", "google_sheet_id": SHEET}

    answer = await shop.call("PATCH", "/tenants/me/credentials", json=body)

    assert answer.status_code == 422
    assert await shop.rows(COLUMNS) == [(None, None)]


async def test_checking_says_what_is_missing_and_else_that_google_was_not_asked(shop: Shop):
    await shop.expect(200, "PATCH", "/tenants/me/credentials", json={"google_sheet_id": SHEET})
    half = await shop.call("POST", "/tenants/me/credentials/google/verify")
    await shop.expect(200, "PATCH", "/tenants/me/credentials", json={"google_credentials_json": service_account()})

    whole = await shop.expect(200, "POST", "/tenants/me/credentials/google/verify")

    assert (half.status_code, half.json()["code"]) == (409, "credentials_missing")
    assert "google_credentials_json" in half.json()["detail"]
    assert (whole["status"], whole["verified_at"]) == ("unverified", None)


async def test_taking_it_back_forgets_both_parts_and_leaves_the_others(shop: Shop):
    await shop.give_key()
    await shop.expect(
        200, "PATCH", "/tenants/me/credentials", json={"google_sheet_id": SHEET, "google_credentials_json": service_account()}
    )

    await shop.expect(204, "DELETE", "/tenants/me/credentials/google")

    assert await shop.rows(COLUMNS) == [(None, None)]
    assert not (await told(shop, "google"))["configured"]
    assert (await told(shop))["configured"]
    assert (await shop.call("DELETE", "/tenants/me/credentials/google")).status_code == 409
    noted = await shop.rows("SELECT action, facts FROM audit_log WHERE tenant_id = $1 AND facts->>'provider' = 'google' ORDER BY id")
    assert [(action, json.loads(facts).get("parts")) for action, facts in noted] == [
        ("credentials.updated", ["sheet", "account"]),
        ("credentials.deleted", None),
    ]
