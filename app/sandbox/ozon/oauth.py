"""`POST /oauth/token`: an access token for an application, by its own credentials (RFC 6749, section 4.4).

The real one stands at https://xapi.ozon.ru. Of an application the sandbox knows what it knows of a seller: `client_id` is the Client-Id, and
`client_secret` one of its keys. Source: the Applications API, as `ozon-sdk` 0.2.0 (October 2026) has it.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import msgspec

from app.sandbox.messages import Answer, Request
from app.sandbox.ozon.keys import TOKEN_VALIDITY_S, issue_ozon_token, read_key
from app.sandbox.ozon.refusals import invalid, key_unknown


class TokenQuestion(msgspec.Struct, frozen=True):
    client_id: int | str = ""
    client_secret: str = ""
    grant_type: str = ""


def issue(request: Request, now: datetime) -> Answer:
    """The token opens what the key opens, for half an hour."""
    try:
        if request.header(b"content-type").startswith("application/x-www-form-urlencoded"):
            question = msgspec.convert(dict(parse_qsl(request.body.decode())), TokenQuestion)
        else:
            question = msgspec.json.decode(request.body, type=TokenQuestion)
    except ValueError as error:
        return invalid(f"Request validation error: {error}")
    if question.grant_type != "client_credentials":
        return invalid("unsupported grant_type")
    key = read_key(question.client_secret)
    if key is None or key.kind != "key" or str(key.client_id) != str(question.client_id) or key.expires_at_s <= now.timestamp():
        return key_unknown()
    expires_at = now.astimezone(UTC) + timedelta(seconds=TOKEN_VALIDITY_S)
    token = issue_ozon_token(key.client_id, products=key.products, roles=key.roles, closed=key.closed, expires_at=expires_at)
    body = {"access_token": token, "expires_in": TOKEN_VALIDITY_S, "token_type": "Bearer", "scope": list(key.roles)}
    return Answer(200, msgspec.json.encode(body))
