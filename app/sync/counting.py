"""What a stage did, as metrics."""

import msgspec

from app.marketplaces.contract import Marketplace
from app.observability import metrics
from app.runs.schemas import StageReport

OUTCOMES = ("created", "updated", "unchanged", "archived", "rejected")


def count_stage(marketplace: Marketplace, before: StageReport, after: StageReport) -> None:
    """Count what was done between the two reports: an earlier worker may have done a part of the stage, and counted it."""
    stage = (marketplace.value, after.name.value)
    metrics.stages.labels(*stage, after.status).inc()
    metrics.stage_duration.labels(*stage).observe(max(after.duration_s - before.duration_s, 0.0))
    if (fetched := after.fetched - before.fetched) > 0:
        metrics.rows_fetched.labels(*stage).inc(fetched)
    now, then = msgspec.structs.asdict(after), msgspec.structs.asdict(before)
    for outcome in OUTCOMES:
        if (count := now[outcome] - then[outcome]) > 0:
            metrics.rows.labels(*stage, outcome).inc(count)
