"""Every environment variable, typed, read once. A wrong one stops the start with a line that names it."""

import base64
import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values

from app.errors import StartRefused
from app.secret import Secret

Value = TypeVar("Value")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A database that hangs for five seconds, which the sweep does not notice, must not make a lease run out.
SHORTEST_LEASE_S, LONGEST_LEASE_S = 10, 600

DEVELOPMENT_SERVERS_FILE = "running.env"
"""In `DATA_DIR`: where `stock-tracker dev` says which servers it runs, so that other commands on this machine find them."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the process was told. Secrets are masked; times say their unit. docs/configuration.md has the meaning of each."""

    app_env: Literal["development", "production"]
    database_url: Secret
    redis_url: Secret
    database_pool_size: int
    encryption_master_keys: tuple[Secret, ...]
    jwt_secrets: tuple[Secret, ...]
    data_dir: Path
    api_host: str
    api_port: int
    trusted_proxies: tuple[Network, ...]
    public_url: str
    wb_content_api_url: str
    wb_marketplace_api_url: str
    wb_statistics_api_url: str
    wb_analytics_api_url: str
    wb_prices_api_url: str
    wb_common_api_url: str
    wb_client_secret: Secret | None
    ozon_api_url: str
    telegram_bot_id: int | None
    telegram_bot_token: Secret | None
    marketplace_limits_enabled: bool
    rate_limit_tenant_per_minute: int
    rate_limit_global_per_minute: int
    rate_limit_auth_per_minute: int
    sync_default_interval_minutes: int
    sync_lease_s: int
    run_retention_days: int
    unchanged_run_retention_days: int
    event_retention_days: int
    stock_history_days: int
    webhook_allowed_networks: tuple[Network, ...]
    webhook_retry_schedule_s: tuple[int, ...]
    cache_enabled: bool
    metrics_address: tuple[str, int | None] | None
    log_level: str
    log_format: Literal["console", "json"]

    @property
    def has_official_hosts(self) -> bool:
        """Whether a call could reach a real marketplace."""
        urls = (self.wb_content_api_url, self.wb_marketplace_api_url, self.wb_statistics_api_url, self.wb_analytics_api_url)
        urls += (self.wb_prices_api_url, self.wb_common_api_url, self.ozon_api_url)
        return any((urlsplit(url).hostname or "").endswith((".wildberries.ru", ".ozon.ru")) for url in urls)

    @property
    def production(self) -> bool:
        return self.app_env == "production"


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check all settings.

    Raises:
        StartRefused: a variable is missing or malformed; the sentence names each, what is wrong, and an example.
    """
    read = _Reader(environment)
    app_env = read.choice("APP_ENV", ("development", "production"), "development")
    production = app_env == "production"
    data_dir = Path(read.text("DATA_DIR", ".data")).absolute()
    if not production:
        read.defaults = {**_running_servers(data_dir), **read.defaults}
    bot_id, bot_token = read.telegram_bot()
    settings = Settings(
        app_env=cast('Literal["development", "production"]', app_env),
        database_url=Secret(read.url("DATABASE_URL", ("postgresql", "postgres"), "postgresql://user:password@host:5432/name")),
        redis_url=Secret(read.url("REDIS_URL", ("redis", "rediss", "unix"), "redis://host:6379/0")),
        database_pool_size=read.number("DATABASE_POOL_SIZE", 10, 2, 200),
        encryption_master_keys=read.secrets(
            "ENCRYPTION_MASTER_KEY",
            _is_fernet_key,
            "a Fernet key of 44 characters (make one: stock-tracker keys generate)",
            generate=None if production else lambda: _kept_secret(data_dir, "master.key", new_master_key),
        ),
        jwt_secrets=read.secrets(
            "JWT_SECRET",
            lambda value: len(value.encode()) >= 32,
            "at least 32 bytes (make one: openssl rand -base64 48)",
            generate=None if production else lambda: _kept_secret(data_dir, "jwt.secret", lambda: secrets.token_urlsafe(48)),
        ),
        data_dir=data_dir,
        api_host=read.text("API_HOST", "127.0.0.1"),
        api_port=read.number("API_PORT", 8000, 0, 65535),
        trusted_proxies=read.each("TRUSTED_PROXIES", "127.0.0.1", ipaddress.ip_network, "127.0.0.1,172.16.0.0/12"),
        public_url=read.web_address("PUBLIC_URL", "").rstrip("/"),
        wb_content_api_url=read.web_address("WB_CONTENT_API_URL", "https://content-api.wildberries.ru"),
        wb_marketplace_api_url=read.web_address("WB_MARKETPLACE_API_URL", "https://marketplace-api.wildberries.ru"),
        wb_statistics_api_url=read.web_address("WB_STATISTICS_API_URL", "https://statistics-api.wildberries.ru"),
        wb_analytics_api_url=read.web_address("WB_ANALYTICS_API_URL", "https://seller-analytics-api.wildberries.ru"),
        wb_prices_api_url=read.web_address("WB_PRICES_API_URL", "https://discounts-prices-api.wildberries.ru"),
        wb_common_api_url=read.web_address("WB_COMMON_API_URL", "https://common-api.wildberries.ru"),
        wb_client_secret=Secret(value) if (value := read.text("WB_CLIENT_SECRET", "")) else None,
        ozon_api_url=read.web_address("OZON_API_URL", "https://api-seller.ozon.ru"),
        telegram_bot_id=bot_id,
        telegram_bot_token=bot_token,
        marketplace_limits_enabled=read.flag("MARKETPLACE_LIMITS_ENABLED", default=True),
        rate_limit_tenant_per_minute=read.number("RATE_LIMIT_TENANT_PER_MINUTE", 600, 0, 10_000_000),
        rate_limit_global_per_minute=read.number("RATE_LIMIT_GLOBAL_PER_MINUTE", 60_000, 0, 10_000_000),
        rate_limit_auth_per_minute=read.number("RATE_LIMIT_AUTH_PER_MINUTE", 20, 0, 10_000_000),
        sync_default_interval_minutes=read.number("SYNC_DEFAULT_INTERVAL_MINUTES", 30, 5, 1440),
        sync_lease_s=read.number("SYNC_LEASE_S", 60, SHORTEST_LEASE_S, LONGEST_LEASE_S),
        run_retention_days=read.number("RUN_RETENTION_DAYS", 30, 1, 3650),
        unchanged_run_retention_days=read.number("UNCHANGED_RUN_RETENTION_DAYS", 2, 1, 3650),
        # Not shorter than the longest lifetime of an event.
        event_retention_days=read.number("EVENT_RETENTION_DAYS", 30, 7, 3650),
        stock_history_days=read.number("STOCK_HISTORY_DAYS", 400, 31, 3650),
        webhook_allowed_networks=read.each("WEBHOOK_ALLOWED_NETWORKS", "", ipaddress.ip_network, "172.16.0.0/12,fd00::/8"),
        webhook_retry_schedule_s=read.each(
            "WEBHOOK_RETRY_SCHEDULE_S", "5,300,1800,7200,18000,36000,50400,72000,86400", _positive_seconds, "5,300,1800"
        ),
        cache_enabled=read.flag("CACHE_ENABLED", default=True),
        metrics_address=read.address("METRICS_ADDRESS", "127.0.0.1"),
        log_level=read.choice("LOG_LEVEL", ("debug", "info", "warning", "error"), "info"),
        log_format=cast('Literal["console", "json"]', read.choice("LOG_FORMAT", ("console", "json"), "json" if production else "console")),
    )
    if settings.production and not settings.marketplace_limits_enabled and settings.has_official_hosts:
        read.faults.append("MARKETPLACE_LIMITS_ENABLED is false; that is for measuring, and refused with the marketplaces' own hosts.")
    if read.faults:
        raise StartRefused(" ".join(read.faults))
    return settings


@cache
def get_settings() -> Settings:
    """The settings of this process: the environment, over a `.env` file in the working directory, over the defaults."""
    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return load_settings({**from_file, **os.environ})


class _Reader:
    """Reads variables one by one and collects what is wrong, so that an operator mends all faults in one go."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.defaults: dict[str, str] = {}
        self.faults: list[str] = []

    def text(self, name: str, default: str) -> str:
        # A variable set to nothing is one not set: compose files write `NAME=${NAME:-}`.
        return self.environment.get(name, "").strip() or self.defaults.get(name, default)

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, default).lower()
        if value not in choices:
            self.faults.append(f"{name} is {value!r}; it must be one of {', '.join(choices)}.")
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            self.faults.append(f"{name} is {value!r}; it must be a whole number from {least} to {most}, for example {default}.")
            return default
        return int(value)

    def flag(self, name: str, *, default: bool) -> bool:
        return self.choice(name, ("true", "false"), "true" if default else "false") == "true"

    def url(self, name: str, schemes: tuple[str, ...], example: str) -> str:
        """A URL that may hold a password, so the value is never repeated."""
        value = self.text(name, "")
        if not value:
            self.faults.append(
                f"{name} is not set; it looks like {example}. On a development machine `stock-tracker dev` starts the servers itself."
            )
        elif not _has_scheme(value, schemes):
            self.faults.append(f"{name} is malformed; it looks like {example}.")
        return value

    def web_address(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if value and not (_has_scheme(value, ("http", "https")) and urlsplit(value).hostname):
            self.faults.append(f"{name} is {value!r}; it must be a web address, for example {default or 'https://stock.example.com'}.")
        return value.rstrip("/")

    def address(self, name: str, default: str) -> tuple[str, int | None] | None:
        """A host to listen on, with or without a port. Here, being set to nothing says something: None."""
        if name in self.environment and not self.environment[name].strip():
            return None
        value = self.text(name, default)
        try:
            parts = urlsplit(f"//{value}")
            if parts.hostname and not re.search(r"[/?#@\s]", value) and not value.endswith(":"):
                return parts.hostname, parts.port
        except ValueError:
            pass  # no port, or no IPv6 address
        self.faults.append(f"{name} is {value!r}; it must be a host, or a host and a port, for example {default}, 0.0.0.0:9464 or [::1]:0.")
        return None

    def secrets(self, name: str, valid: Callable[[str], bool], form: str, *, generate: Callable[[], str] | None) -> tuple[Secret, ...]:
        """Several, comma-separated, newest first. The values are never repeated in a fault."""
        values = [value.strip() for value in self.text(name, "").split(",") if value.strip()]
        if not values and generate is not None:
            values = [generate()]
        if not values:
            self.faults.append(f"{name} is not set; it must be {form}.")
        for position, value in enumerate(values, 1):
            if not valid(value):
                self.faults.append(f"{name}: value {position} is malformed; it must be {form}.")
        return tuple(Secret(value) for value in values)

    def telegram_bot(self) -> tuple[int | None, Secret | None]:
        """The bot's id and its token, which begins with the id; the one is enough."""
        bot_id, token = self.text("TELEGRAM_BOT_ID", ""), self.text("TELEGRAM_BOT_TOKEN", "")
        if bot_id and not _BOT_ID.fullmatch(bot_id):
            self.faults.append(
                f"TELEGRAM_BOT_ID is {bot_id!r}; it must be a bot's number, for example 123456789: what stands before the colon of its token."
            )
            return None, None
        form = _BOT_TOKEN.fullmatch(token)
        if token and form is None:
            self.faults.append("TELEGRAM_BOT_TOKEN is malformed; it must be as BotFather gave it: digits, a colon, and 30 or more letters.")
            return None, None
        if form is not None and bot_id and form[1] != bot_id:
            self.faults.append("TELEGRAM_BOT_ID and TELEGRAM_BOT_TOKEN are of two bots; set one of them, or both of the same bot.")
        return int(form[1] if form else bot_id or 0) or None, Secret(token) if form else None

    def each(self, name: str, default: str, parse: Callable[[str], Value], example: str) -> tuple[Value, ...]:
        text = self.text(name, default)
        try:
            return tuple(parse(part.strip()) for part in text.split(",") if part.strip())
        except ValueError:
            self.faults.append(f"{name} is {text!r}; it must be a comma-separated list such as {example}.")
            return ()


_BOT_ID = re.compile(r"[1-9][0-9]{0,14}")
_BOT_TOKEN = re.compile(rf"({_BOT_ID.pattern}):[A-Za-z0-9_-]{{30,100}}")


def _has_scheme(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        return urlsplit(value).scheme in schemes
    except ValueError:
        return False


def new_master_key() -> str:
    """A Fernet key: 32 random bytes in URL-safe base64 (https://github.com/fernet/spec)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _is_fernet_key(value: str) -> bool:
    try:
        return len(value) == 44 and len(base64.b64decode(value, altchars=b"-_", validate=True)) == 32
    except ValueError:
        return False


def _positive_seconds(text: str) -> int:
    seconds = int(text)
    if not 1 <= seconds <= 7 * 86_400:
        raise ValueError(text)
    return seconds


def _running_servers(data_dir: Path) -> dict[str, str]:
    file = data_dir / DEVELOPMENT_SERVERS_FILE
    return {name: value for name, value in dotenv_values(file).items() if value} if file.exists() else {}


def _kept_secret(data_dir: Path, name: str, make: Callable[[], str]) -> str:
    """A secret made once for this development machine. Several processes may start at once: one of them wins, all read its value."""
    file = data_dir / name
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            draft = data_dir / f".{name}.{secrets.token_hex(8)}"
            draft.touch(mode=0o600)
            draft.write_text(make())
            try:
                os.link(draft, file)
            except FileExistsError:
                pass  # another process was faster, and its value is as good
            finally:
                draft.unlink()
        return file.read_text().strip()
    except OSError as error:
        raise StartRefused(f"DATA_DIR: can't keep {file} ({error.strerror}); choose a folder that this user may write.") from error
