"""Syncs over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from app.api.event_stream import MEDIA_TYPE, EventStream, parse_event_id
from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.problem_details import problems
from app.api.roles import Admission, Role
from app.api.structs import Instant
from app.errors import CredentialsMissing
from app.marketplaces.contract import Marketplace
from app.runs import service
from app.runs.progress import EXAMPLE, StreamsExhausted, TooManyStreams, read_state, watcher
from app.runs.schemas import RunOut, SyncIn
from app.runs.tables import RunStatus, Trigger


class SyncController(Controller):
    """Copying a shop out of its marketplace."""

    path = "/sync"
    tags = ("Sync",)

    @post(
        opt={"role": Role.OWNER},
        operation_id="startSync",
        summary="Start a sync",
        status_code=202,
        responses={200: ResponseSpec(RunOut, description="One was queued or running already; this is it.", generate_examples=False)}
        | problems(CredentialsMissing),
        response_headers=[ResponseHeader(name="Location", description="Where the run can be looked at.", documentation_only=True)],
    )
    async def start_sync(self, tenant_id: NamedDependency[UUID], data: JSONBody[SyncIn]) -> Response[RunOut]:
        """Queue a run of a marketplace account; if one is queued or running, the answer is 200 with that one."""
        run, created = await service.request_run(tenant_id, data.marketplace, Trigger.MANUAL, scopes=data.scopes, full=data.full)
        return Response(run, status_code=202 if created else 200, headers={"Location": f"/api/v1/sync/{run.id}"})

    @get(opt={"role": Role.VIEWER}, operation_id="listSyncs", summary="List syncs")
    async def list_syncs(
        self,
        tenant_id: NamedDependency[UUID],
        status: FromQuery[RunStatus | None] = None,
        marketplace: FromQuery[Marketplace | None] = None,
        since: FromQuery[Instant | None] = None,
        limit: FromQuery[Limit] = DEFAULT_LIMIT,
        cursor: FromQuery[Cursor | None] = None,
    ) -> PageOut[RunOut]:
        """Newest first. `since` is about the time when a run was asked for."""
        return await service.list_runs(tenant_id, status=status, marketplace=marketplace, since=since, limit=limit, cursor=cursor)

    @get("/{run_id:uuid}", opt={"role": Role.VIEWER, "conditional": True}, operation_id="getSync", summary="Look at a sync")
    async def get_sync(self, tenant_id: NamedDependency[UUID], run_id: FromPath[UUID]) -> RunOut:
        """What the run did so far, stage by stage."""
        return await service.get_run(tenant_id, run_id)

    @get(
        "/{run_id:uuid}/events",
        opt={"role": Role.VIEWER, "no_store": True},
        operation_id="followSync",
        summary="Follow a sync",
        media_type=MEDIA_TYPE,
        responses={
            200: ResponseSpec(
                str,
                description="`progress` while the sync is queued or running, then `finished`.",
                media_type=MEDIA_TYPE,
                examples=[Example(id="stream", summary="A stream to its end", value=EXAMPLE)],
            ),
            204: ResponseSpec(None, description="`finished` was seen already: do not connect again."),
        }
        | problems(TooManyStreams, StreamsExhausted),
    )
    async def follow_sync(
        self,
        tenant_id: NamedDependency[UUID],
        admission: NamedDependency[Admission],
        run_id: FromPath[UUID],
        last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
    ) -> ASGIApp:
        """Server-Sent Events, as a browser's `EventSource` reads them. The data of each is the sync as `GET /sync/{run_id}` gives it, its id the sync's revision;
        a reader that falls behind gets the newest state only.

        A stream may end before `finished`: when the access token does, when the session is ended, when the service is restarted. Connect again with the last
        id as `Last-Event-ID`, and what is newer comes at once. A value that is no id counts as none. At most 20 streams of a tenant are open in a process.
        """
        state, seen = await read_state(tenant_id, run_id), parse_event_id(last_event_id)
        if state.is_final and state.revision == seen:
            # The one answer upon which a browser's EventSource stops to connect again: https://html.spec.whatwg.org/multipage/server-sent-events.html,
            # "Introduction".
            return ASGIResponse(status_code=204)
        return EventStream(watcher.follow(tenant_id, state, seen, admission))
