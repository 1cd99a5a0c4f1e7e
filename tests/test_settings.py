import re
import stat
from pathlib import Path

import pytest

from app.errors import StartRefused
from app.settings import load_settings

MASTER, JWT = "A" * 43 + "=", "j" * 32
BOT_TOKEN = "7342037359:" + "k" * 35


def environment(**changes: str) -> dict[str, str]:
    return {
        "APP_ENV": "production",
        "DATABASE_URL": "postgresql://user:db-password@host/name",
        "REDIS_URL": "redis://:redis-password@host:6379/0",
        "ENCRYPTION_MASTER_KEY": MASTER,
        "JWT_SECRET": JWT,
    } | changes


def test_the_defaults_are_those_of_the_documentation():
    settings = load_settings(environment())

    assert settings.wb_content_api_url == "https://content-api.wildberries.ru"
    assert settings.webhook_retry_schedule_s == (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    assert settings.log_format == "json"
    assert settings.unchanged_run_retention_days == 2
    assert (settings.run_retention_days, settings.event_retention_days, settings.stock_history_days) == (30, 30, 400)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_ENV", "prod"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "postgresql://[bad/name"),
        ("REDIS_URL", "host:6379"),
        ("ENCRYPTION_MASTER_KEY", ""),
        ("ENCRYPTION_MASTER_KEY", "too short"),
        ("ENCRYPTION_MASTER_KEY", MASTER + "," + "x" * 44),
        ("JWT_SECRET", "short"),
        ("API_PORT", "70000"),
        ("API_PORT", "eighty"),
        ("WB_CONTENT_API_URL", "content-api"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/40"),
        ("WEBHOOK_RETRY_SCHEDULE_S", "5,soon"),
        ("WEBHOOK_RETRY_SCHEDULE_S", "0"),
        ("RUN_RETENTION_DAYS", "0"),
        ("UNCHANGED_RUN_RETENTION_DAYS", "0"),
        ("EVENT_RETENTION_DAYS", "6"),
        ("STOCK_HISTORY_DAYS", "30"),
        ("METRICS_ADDRESS", "127.0.0.1:eighty"),
        ("METRICS_ADDRESS", "127.0.0.1:70000"),
        ("METRICS_ADDRESS", ":9464"),
        ("METRICS_ADDRESS", "http://127.0.0.1:9464"),
        ("CACHE_ENABLED", "maybe"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(name, value):
    with pytest.raises(StartRefused) as refused:
        load_settings(environment(**{name: value}))

    assert name in refused.value.detail
    assert "\n" not in refused.value.detail


def test_all_faults_are_told_at_once_and_no_secret_is_repeated():
    with pytest.raises(StartRefused) as refused:
        load_settings(environment(DATABASE_URL="mysql://u:db-password@h/n", JWT_SECRET="hunter2", ENCRYPTION_MASTER_KEY="not-a-key-at-all"))

    detail = refused.value.detail
    assert all(name in detail for name in ("DATABASE_URL", "JWT_SECRET", "ENCRYPTION_MASTER_KEY"))
    assert not any(secret in detail for secret in ("db-password", "hunter2", "not-a-key-at-all"))


def test_the_settings_show_no_secret():
    shown = repr(load_settings(environment()))

    assert not any(secret in shown for secret in (MASTER, JWT, "db-password", "redis-password"))


def test_development_makes_its_secrets_once_and_keeps_them_to_itself(data_dir):
    first = load_settings(environment(APP_ENV="development", DATA_DIR=str(data_dir), ENCRYPTION_MASTER_KEY="", JWT_SECRET=""))
    second = load_settings(environment(APP_ENV="development", DATA_DIR=str(data_dir), ENCRYPTION_MASTER_KEY="", JWT_SECRET=""))

    assert first.encryption_master_keys[0].reveal() == second.encryption_master_keys[0].reveal()
    assert {stat.S_IMODE(file.stat().st_mode) for file in data_dir.iterdir()} == {0o600}


def test_a_data_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StartRefused, match="DATA_DIR"):
        load_settings(
            environment(APP_ENV="development", DATA_DIR=str(tmp_path / "file" / "below"), JWT_SECRET="", ENCRYPTION_MASTER_KEY="")
        )


def test_the_example_file_lists_every_setting_that_is_read():
    root = Path(__file__).parents[1]
    read = set(re.findall(r'"([A-Z][A-Z_]+)"', (root / "app/settings.py").read_text()))

    listed = set(re.findall(r"^([A-Z_]+)=", (root / ".env.example").read_text(), re.MULTILINE))

    assert read - listed == set()
    assert listed - read == {"DATABASE_PASSWORD", "API_WORKERS"}  # compose.yaml's own


@pytest.mark.parametrize(
    ("value", "address"),
    [("0.0.0.0", ("0.0.0.0", None)), ("localhost:0", ("localhost", 0)), ("[::1]:9464", ("::1", 9464)), (" ", None), ("", None)],
)
def test_metrics_have_an_address_or_are_switched_off(value: str, address: tuple[str, int | None] | None):
    assert load_settings(environment(METRICS_ADDRESS=value)).metrics_address == address
    assert load_settings(environment()).metrics_address == ("127.0.0.1", None)


@pytest.mark.parametrize(
    ("given", "bot_id", "has_token"),
    [
        ({}, None, False),
        ({"TELEGRAM_BOT_ID": "7342037359"}, 7342037359, False),
        ({"TELEGRAM_BOT_TOKEN": BOT_TOKEN}, 7342037359, True),
        ({"TELEGRAM_BOT_ID": "7342037359", "TELEGRAM_BOT_TOKEN": BOT_TOKEN}, 7342037359, True),
    ],
    ids=["neither", "the id", "the token", "both"],
)
def test_a_telegram_bot_is_named_by_its_id_or_its_token(given: dict[str, str], bot_id: int | None, has_token: bool):
    settings = load_settings(environment(**given))

    assert settings.telegram_bot_id == bot_id
    assert (settings.telegram_bot_token is not None) is has_token
    assert BOT_TOKEN not in repr(settings)


@pytest.mark.parametrize(
    "given",
    [
        {"TELEGRAM_BOT_ID": "shop_bot"},
        {"TELEGRAM_BOT_ID": "0"},
        {"TELEGRAM_BOT_ID": "٣"},
        {"TELEGRAM_BOT_ID": "9" * 16},
        {"TELEGRAM_BOT_TOKEN": "7342037359"},
        {"TELEGRAM_BOT_TOKEN": "7342037359:short"},
        {"TELEGRAM_BOT_TOKEN": f"{BOT_TOKEN} x"},
        {"TELEGRAM_BOT_ID": "7342037358", "TELEGRAM_BOT_TOKEN": BOT_TOKEN},
    ],
    ids=["a name", "zero", "another script", "too long", "an id for a token", "half a token", "more than a token", "two bots"],
)
def test_a_telegram_bot_that_can_not_be_is_refused_and_its_token_not_repeated(given: dict[str, str]):
    with pytest.raises(StartRefused, match="TELEGRAM_BOT_") as refusal:
        load_settings(environment(**given))

    assert "k" * 30 not in refusal.value.detail
    assert "short" not in refusal.value.detail
