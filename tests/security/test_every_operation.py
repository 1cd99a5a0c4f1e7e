"""design: security, "Input": what nobody expects, asked of every operation of the OpenAPI document, over real HTTP.

The requests are made by Schemathesis out of the document itself, so an operation that is added is asked too. FUZZ_EXAMPLES says how many of each kind; the seed is fixed, so
that a build which fails fails again.
"""

import os
from datetime import timedelta

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from tests.auth.application import PASSWORD
from tests.stories.product import Product

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))

load_all_checks()
# Never 5xx, and an answer that the document knows: its status, media type, headers and body. Who may call is looked at in test_every_route.py.
HELD_TO = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]

# These end whom the others are asked as; they are asked as somebody else.
LEAVING = {"eraseTenant", "logoutAll", "changePassword"}


def register(api: str, name: str) -> str:
    """The access token of a seller who has nothing."""
    answer = httpx.post(
        f"{api}/api/v1/auth/register",
        json={"email": f"{name}@example.com", "password": PASSWORD, "company_name": "Fuzzed", "marketplace_type": "wildberries"},
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["access_token"]


@pytest.fixture(scope="module")
def operations(running_product: Product) -> list[schemathesis.schemas.APIOperation]:
    document = schemathesis.openapi.from_url(f"{running_product.parts.api}/schema/openapi.json")
    found = [each.ok() for each in document.get_all_operations() if isinstance(each, Ok)]
    assert len(found) == document.statistic.operations.total
    return found


def takes_anything(operation: schemathesis.schemas.APIOperation) -> bool:
    return bool(operation.definition.raw.get("parameters") or operation.definition.raw.get("requestBody"))


def ask(operation: schemathesis.schemas.APIOperation, mode: GenerationMode, token: str) -> None:
    """Ask it so many things.

    Raises:
        FailureGroup: an answer is not what the document says.
    """

    @seed(20261123)
    @settings(
        max_examples=EXAMPLES,
        deadline=timedelta(seconds=20),
        phases=(Phase.generate,),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def ask_once(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=HELD_TO, timeout=15)

    ask_once()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=[mode.value for mode in GenerationMode])
def test_no_operation_answers_what_the_document_does_not_know(
    mode: GenerationMode, operations: list[schemathesis.schemas.APIOperation], running_product: Product
) -> None:
    api = running_product.parts.api
    token = register(api, f"fuzzed-{mode.value}")
    violations: list[str] = []

    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not takes_anything(operation):
            continue
        name = operation.definition.raw["operationId"]
        try:
            ask(operation, mode, register(api, f"{name}-{mode.value}") if name in LEAVING else token)
        except FailureGroup as error:
            violations.append(f"{operation.label}: {error}")

    assert not violations, "\n\n".join(violations)
