"""What is done to syncs over HTTP, beyond asking for them."""

from uuid import UUID

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from app.api.problem_details import problems
from app.api.roles import Caller, Role
from app.runs.schemas import RunOut
from app.sync.cancel import SyncAlreadyFinished, cancel_run


class SyncCancelController(Controller):
    path = "/sync/{run_id:uuid}/cancel"
    tags = ("Sync",)

    @post(
        opt={"role": Role.OWNER},
        operation_id="cancelSync",
        summary="Cancel a sync",
        status_code=202,
        responses={200: ResponseSpec(RunOut, description="It was cancelled before; this is it.", generate_examples=False)}
        | problems(SyncAlreadyFinished),
    )
    async def cancel_sync(self, caller: NamedDependency[Caller], run_id: FromPath[UUID]) -> Response[RunOut]:
        """Ends a sync that is queued or running, at once; what it has stored stays, and the next one goes on from there. Its worker notices at the next page, or within
        20 s if the marketplace lets it wait. A sync that has finished by itself is 409: its answer is `GET /sync/{run_id}`.
        """
        run, cancelled_now = await cancel_run(caller.tenant_id, caller.actor, run_id)
        return Response(run, status_code=202 if cancelled_now else 200)
