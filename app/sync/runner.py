"""One run, start to finish."""

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from copy import copy
from datetime import timedelta
from uuid import UUID

import structlog

from app.cache import get_cache
from app.credentials.factory import create_marketplace_client
from app.credentials.service import reject_credentials, was_replaced
from app.database import tenant_scope
from app.errors import CredentialsMissing, StockTrackerError, Unavailable
from app.events.jobs import DeliverEvents
from app.jobs import enqueue
from app.marketplaces.contract import MarketplaceClient
from app.marketplaces.errors import CredentialsRejected, MarketplaceError, RateLimited, ScopeMissing
from app.observability import metrics
from app.orders.service import OrderService
from app.products.prices import PriceService
from app.products.service import ProductService
from app.runs.lease import LEASE, MOST_CRASHES, MOST_WAITING, Lease, LeaseLost, claim, return_strays
from app.runs.schemas import StageReport
from app.runs.tables import Stage
from app.stocks.service import StockService
from app.sync.counting import count_stage
from app.sync.messages import own_reason, reason
from app.sync.outcome import PRODUCT_LISTS, finish
from app.vault import CredentialsUnreadable

FINAL = ("succeeded", "partial", "skipped", "failed")
# An order is kept without its product until that is known; a price and a shelf are not.
NEEDS_PRODUCTS = (Stage.PRICES, Stage.STOCKS)
# Syncs wait for the network most of the time, so many go on at once in a process.
DEFAULT_CONCURRENCY = 64
# However many large shops the schedule has under way, who presses a button finds a place.
RESERVED_SHARE = 8
# A shutdown waits for the page that is being written, not for the one that is being fetched; a write that hangs is cut off, so that its run can be given back.
WRITE_PATIENCE_S = 3.0
STOP_PATIENCE_S = 5.0
HEARTBEATS_PER_LEASE = 3
# Between two attempts to reach a database that is away.
UNAVAILABLE_PAUSE_S = 1.0

log = structlog.get_logger(__name__)


class Runner:
    """Carries out runs in this process, `concurrency` at once."""

    def __init__(self, worker: str, concurrency: int = DEFAULT_CONCURRENCY, lease: timedelta = LEASE) -> None:
        self.worker = worker
        self.concurrency = concurrency
        self.lease = lease
        self.stopping = False
        self._drains: set[asyncio.Task[None]] = set()
        self._running: dict[asyncio.Task[None], Lease] = {}
        self._patient = 0
        self._claiming = 0
        self._in_hands: set[UUID] = set()
        self._returning: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There may be work: look for it in the background, unless all places are taken; who has a place looks again by itself."""
        if self.stopping or len(self._drains) >= self.concurrency:
            return
        drain = asyncio.create_task(self._drain())
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)

    async def _drain(self) -> None:
        """Carry out the most urgent run that is due, and so on until none is."""
        try:
            while not self.stopping and await self._carry_out_next():
                pass
        except Unavailable as error:
            # The scheduler rings again.
            log.warning("runs.database_unavailable", detail=error.detail)
        except Exception:
            # A fault of ours: the run's lease runs out and it counts as crashed. The scheduler rings for the others.
            log.exception("runs.drain_crashed")

    async def _carry_out_next(self) -> bool:
        """Carry out the most urgent run that is due; of the places an eighth is kept for runs that somebody waits for. False: there is none."""
        reserved = min(math.ceil(self.concurrency / RESERVED_SHARE), self.concurrency - 1)
        patient = self._patient < self.concurrency - reserved
        self._patient += patient
        try:
            lease = await self._claim(urgent_only=not patient)
            if lease is None:
                return False
            if patient and lease.is_urgent:
                self._patient -= 1
                patient = False
            await self._carry_out(lease)
        finally:
            self._patient -= patient
        return True

    async def _claim(self, run_id: UUID | None = None, *, urgent_only: bool = False) -> Lease | None:
        """None: there is nothing to do, or the stop has begun."""
        self._claiming += 1
        try:
            lease = await claim(self.worker, run_id, self.lease, urgent_only=urgent_only)
        except Unavailable:
            self._return_strays_when_possible()
            raise
        finally:
            self._claiming -= 1
        if lease is not None and self.stopping:
            with suppress(LeaseLost):
                await lease.give_back()
            return None
        if lease is not None:
            self._in_hands.add(lease.run_id)
        return lease

    def _return_strays_when_possible(self) -> None:
        if self._returning is None and not self.stopping:
            self._returning = asyncio.create_task(self._return_strays())

    async def _return_strays(self) -> None:
        """A claim may have been carried out and its answer lost. Nobody would know of that run until its lease ran out, and take it for crashed then."""
        try:
            while not self.stopping:
                await asyncio.sleep(UNAVAILABLE_PAUSE_S)
                if self._claiming:
                    continue
                with suppress(Unavailable):
                    if returned := await return_strays(self.worker, list(self._in_hands)):
                        log.info("runs.strays_returned", count=returned)
                    return
        finally:
            self._returning = None

    async def carry_out_run(self, run_id: UUID) -> bool:
        """Carry out this very run. False where it does not wait: another worker has it, or it is done."""
        lease = None if self.stopping else await self._claim(run_id)
        if lease is None:
            return False
        await self._carry_out(lease)
        return True

    async def stop(self) -> None:
        """Claim nothing more, and give the running runs back to the queue at their last checkpoint."""
        self.stopping = True
        for task, lease in self._running.items():
            lease.call_between_writes(task.cancel)
        waiting = {*self._running, *self._drains}
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=WRITE_PATIENCE_S)
        for task, lease in self._running.items():
            if lease.is_writing:
                task.cancel()
        if waiting:
            await asyncio.wait(waiting, timeout=STOP_PATIENCE_S - WRITE_PATIENCE_S)

    async def _carry_out(self, lease: Lease) -> None:
        task = asyncio.create_task(_carry_out(lease), name=f"run {lease.run_id}")
        self._running[task] = lease
        try:
            # Our own cancellation must not tear the run's write apart; `stop` cancels the run in good order.
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            # A task that is cancelled before its first step takes none.
            with suppress(LeaseLost, Unavailable):
                await lease.give_back()
        finally:
            task.add_done_callback(self._running.pop)
            self._in_hands.discard(lease.run_id)


async def _carry_out(lease: Lease) -> None:
    with (
        structlog.contextvars.bound_contextvars(run_id=str(lease.run_id), tenant_id=str(lease.tenant_id), attempt=lease.attempt),
        metrics.worker_runs.track_inprogress(),
    ):
        log.info("run.claimed", marketplace=lease.marketplace, trigger=lease.trigger)
        try:
            async with _heartbeat(lease):
                await _run_stages(lease)
        except LeaseLost:
            metrics.leases_lost.inc()
            log.warning("run.lease_lost")
            return
        except Unavailable as error:
            log.warning("run.database_unavailable", detail=error.detail)
            await _give_back_when_possible(lease)
            return
        await enqueue(DeliverEvents())


async def _give_back_when_possible(lease: Lease) -> None:
    """The database went away in the middle. Once it is back, the run goes on at its checkpoint at once, and nobody takes it for one that killed its worker."""
    stopping = False
    while not stopping:
        try:
            await asyncio.sleep(random.uniform(0.5, 1) * UNAVAILABLE_PAUSE_S)
        except asyncio.CancelledError:
            stopping = True  # the process ends: this is the last attempt
        try:
            await lease.give_back()
        except LeaseLost:
            metrics.leases_lost.inc()
            log.warning("run.lease_lost")
            return
        except Unavailable:
            continue
        log.info("run.given_back")
        return


async def _run_stages(lease: Lease) -> None:
    if lease.crashes >= MOST_CRASHES:
        # Its workers may have been killed before they came to it.
        await get_cache().invalidate_pattern(lease.tenant_id, PRODUCT_LISTS)
        status = await finish(lease, own_reason(lease.language, "crashed"))
        metrics.dead_runs.labels(lease.marketplace.value).inc()
        log.error("run.crashed", status=status)
        return
    try:
        client = await create_marketplace_client(lease.tenant_id, lease.marketplace)
        for report in lease.stages:
            if report.status not in FINAL and not _has_to_wait(lease, report):
                await _run_stage(lease, report, client)
        if waiting := [report.not_before for report in lease.stages if report.status not in FINAL and report.not_before]:
            # A stage that has to be patient holds no worker, and held up none of the others.
            await lease.put_back(max(min(waiting) - lease.now(), timedelta()))
            log.info("run.put_back", not_before=min(waiting).isoformat())
        else:
            status = await finish(lease)
            log.info("run.finished", status=status)
    except CredentialsRejected as error:
        await _reject(lease, error)
    except (CredentialsMissing, CredentialsUnreadable) as error:
        await finish(lease, reason(lease.language, error))
        log.warning("run.no_usable_key", code=error.code)
    except asyncio.CancelledError:
        # As the database has it: whether the transaction that this broke into was committed is not known here.
        with suppress(LeaseLost):
            await lease.give_back()
            log.info("run.given_back")
        raise


def _has_to_wait(lease: Lease, report: StageReport) -> bool:
    # A time that is further away is of a clock that leapt and was put back.
    if report.not_before is not None and timedelta() < report.not_before - lease.now() <= MOST_WAITING:
        return True
    products = next((stage for stage in lease.stages if stage.name is Stage.PRODUCTS), None)
    if report.name not in NEEDS_PRODUCTS or products is None or products.status in FINAL:
        return False
    # The products have to wait. Of a shop that was never copied whole, most prices and shelves would belong to products that we don't know yet.
    return lease.reached(Stage.PRODUCTS).full_pass_at is None


async def _run_stage(lease: Lease, report: StageReport, client: MarketplaceClient) -> None:
    """Carry out one stage. What stops it, but not the others, stands in its report; what stops the run is raised.

    Raises:
        CredentialsRejected: no other stage can work either.
    """
    before, began = (client.traffic.requests, client.traffic.waited_s, report.duration_s), time.monotonic()
    # What a killed worker wrote counts too: it may not have come to what is done about it below.
    changed, found = report.changes, copy(report)
    report.status, report.error, report.not_before = "running", None, None
    try:
        await _sync(lease, report, client)
        report.status = "partial" if report.error else "succeeded"
    except ScopeMissing as error:
        # Of two lists or reports one may be open to the key.
        report.status, report.error = "partial" if report.fetched else "skipped", reason(lease.language, error)
    except CredentialsRejected as error:
        report.status, report.error = "failed", reason(lease.language, error)
        raise
    except RateLimited as error:
        report.status, report.error = "pending", reason(lease.language, error)
        not_before = lease.now() + error.retry_after
        if not_before > lease.started_at + MOST_WAITING:
            report.status = "failed"
        else:
            report.not_before = not_before
        log.info("stage.waits", stage=report.name, code=error.code, retry_after_s=error.retry_after.total_seconds(), status=report.status)
    except (LeaseLost, Unavailable):
        raise
    except MarketplaceError as error:
        log.warning("stage.failed", stage=report.name, code=error.code, excerpt=error.excerpt)
        report.status, report.error = "failed", reason(lease.language, error)
    except StockTrackerError:
        raise
    except Exception:
        # A fault of ours must not stop the other stages, nor hide: it stands in the log with its traceback.
        log.exception("stage.crashed", stage=report.name)
        report.status, report.error = "failed", own_reason(lease.language, "internal_error")
    finally:
        if report.status == "running":
            report.status = "pending"  # given back in the middle
        report.requests += client.traffic.requests - before[0]
        report.waited_s = round(report.waited_s + client.traffic.waited_s - before[1], 3)
        report.duration_s = round(before[2] + time.monotonic() - began, 3)
        count_stage(lease.marketplace, found, report)
        if (changed or report.changes) and report.name is not Stage.ORDERS:
            # Before the run's event can go out: who acts on it must not read the list of before. An unchanged shop's stays.
            await get_cache().invalidate_pattern(lease.tenant_id, PRODUCT_LISTS)
    if report.status in FINAL:
        lease.end(report)


async def _sync(lease: Lease, report: StageReport, client: MarketplaceClient) -> None:
    tenant_id, marketplace = lease.tenant_id, lease.marketplace
    match report.name:
        case Stage.PRODUCTS:
            await ProductService(tenant_id, client).sync(lease, report, marketplace)
        case Stage.PRICES:
            await PriceService(tenant_id, client).sync(lease, report, marketplace)
        case Stage.STOCKS:
            await StockService(tenant_id, client).sync(lease, report, marketplace)
        case Stage.ORDERS:
            await OrderService(tenant_id, client).sync(lease, report, marketplace)


async def _reject(lease: Lease, error: CredentialsRejected) -> None:
    async with tenant_scope(lease.tenant_id) as connection:
        replaced = await was_replaced(connection, lease.tenant_id, lease.marketplace, stored_at=lease.key_stored_at)
        if not replaced:
            await reject_credentials(connection, lease.tenant_id, lease.marketplace, error.detail, stored_at=lease.key_stored_at)
    if replaced:
        # A seller who replaces a key revokes the former one. The run goes on with the one that is stored now.
        for report in lease.stages:
            if report.error and report.error.code == error.code:
                report.status, report.error = "pending", None
        await lease.put_back()
        log.info("run.key_replaced")
        return
    await finish(lease, reason(lease.language, error))
    log.warning("run.credentials_rejected", excerpt=error.excerpt)


@asynccontextmanager
async def _heartbeat(lease: Lease) -> AsyncGenerator[None]:
    """Renew the lease while the body runs. Where it is lost, the body is cancelled and `LeaseLost` raised in its place."""
    body = asyncio.current_task()
    assert body is not None  # a coroutine always runs in a task
    lost = False

    async def beat() -> None:
        nonlocal lost
        pause_s = often_s = lease.length.total_seconds() / HEARTBEATS_PER_LEASE
        while True:
            await asyncio.sleep(pause_s)
            try:
                await lease.renew()
            except LeaseLost:
                lost = True
                body.cancel()
                return
            except Unavailable:
                metrics.heartbeats_missed.inc()
                log.warning("run.heartbeat_missed")
                pause_s = min(UNAVAILABLE_PAUSE_S, often_s)
            else:
                pause_s = often_s

    beating = asyncio.create_task(beat())
    try:
        yield
    except asyncio.CancelledError:
        if lost:
            body.uncancel()
            raise LeaseLost from None
        raise
    finally:
        beating.cancel()
        await asyncio.wait([beating])
