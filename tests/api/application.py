"""Small applications with the shared manners and nothing else."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from litestar import Litestar
from litestar.types import ControllerRouterHandler

from app.api.bodies import MAX_BODY_BYTES, StrictRequest
from app.api.conditional import ConditionalReads
from app.api.headers import StandardHeaders
from app.api.parameters import StrictQuery
from app.api.problem_details import EXCEPTION_HANDLERS

ClientFor = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def make_app(handlers: Sequence[ControllerRouterHandler], **options: Any) -> Litestar:
    app = Litestar(
        handlers,
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY_BYTES,
        middleware=[StrictQuery(), ConditionalReads()],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
        **options,
    )
    app.asgi_handler = StandardHeaders(app.asgi_handler)
    return app
