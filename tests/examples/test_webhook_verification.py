"""What the examples take for genuine is what the service signed, and nothing else."""

import base64
import importlib.util
import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from app.webhooks.signing import new_secret, sign
from tests.examples.conftest import EXAMPLES, NODE

Verify = Callable[[str, dict[str, str], bytes], Any]

SECRET = new_secret()
BODY = '{"type": "sync.completed", "data": {"message": "Готово: 25 — всё"}}'.encode()
DRIVER = """
import { verifyWebhook } from "%s";
let text = "";
for await (const chunk of process.stdin) text += chunk;
const { secret, headers, body } = JSON.parse(text);
console.log(JSON.stringify(verifyWebhook(secret, headers, Buffer.from(body, "base64"))));
"""


def verify_with_node(secret: str, headers: dict[str, str], body: bytes) -> Any:
    done = subprocess.run(
        [str(NODE), "--input-type=module", "--eval", DRIVER % (EXAMPLES / "grammy_bot" / "stock_tracker.mjs").as_uri()],
        input=json.dumps({"secret": secret, "headers": headers, "body": base64.b64encode(body).decode()}),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def verify_with_python(secret: str, headers: dict[str, str], body: bytes) -> Any:
    spec = importlib.util.spec_from_file_location("verify_webhook", EXAMPLES / "verify_webhook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.verify(secret, headers, body)
    except (WebhookVerificationError, ValueError):
        return None


@pytest.fixture(params=[verify_with_python, verify_with_node], ids=["python", "node"])
def verify(request: pytest.FixtureRequest) -> Verify:
    return request.param


def signed(body: bytes = BODY, *, ago: timedelta = timedelta(), secrets=(SECRET,)) -> dict[str, str]:
    return sign("msg_1", datetime.now(UTC) - ago, body, list(secrets))


def test_a_genuine_webhook_is_read(verify: Verify):
    assert verify(SECRET.reveal(), signed(), BODY) == json.loads(BODY)


def test_one_of_two_signatures_is_enough_while_a_secret_is_replaced(verify: Verify):
    assert verify(SECRET.reveal(), signed(secrets=(new_secret(), SECRET)), BODY) == json.loads(BODY)


def test_other_bytes_are_refused(verify: Verify):
    assert verify(SECRET.reveal(), signed(), BODY.replace(b"25", b"26")) is None


def test_another_secret_is_refused(verify: Verify):
    assert verify(new_secret().reveal(), signed(), BODY) is None


@pytest.mark.parametrize("ago", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_webhook_of_another_time_is_refused(verify: Verify, ago: timedelta):
    assert verify(SECRET.reveal(), signed(ago=ago), BODY) is None


@pytest.mark.parametrize(
    ("name", "value"), [("webhook-id", "msg_2"), ("webhook-timestamp", str(int(time.time()) - 60))], ids=["id", "time"]
)
def test_a_changed_header_is_refused(verify: Verify, name: str, value: str):
    headers = signed()

    headers[name] = value

    assert verify(SECRET.reveal(), headers, BODY) is None


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(verify: Verify, name: str):
    headers = signed()

    del headers[name]

    assert verify(SECRET.reveal(), headers, BODY) is None


@pytest.mark.parametrize("nonsense", ["", "v1", "v1,", "v1,!", "v1a,AAAA", ",", "v2,{}"])
def test_nonsense_for_a_signature_is_refused(verify: Verify, nonsense: str):
    headers = signed()

    headers["webhook-signature"] = nonsense.format(headers["webhook-signature"].removeprefix("v1,"))

    assert verify(SECRET.reveal(), headers, BODY) is None
