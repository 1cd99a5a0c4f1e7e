"""The time zone of Wildberries' texts: UTC+3 all year."""

from datetime import datetime, timedelta, timezone

_AHEAD = timedelta(hours=3)
MOSCOW = timezone(_AHEAD)


def moscow_time(instant: datetime) -> str:
    """In whole seconds, without a word about the zone. `instant` is in UTC."""
    return (instant + _AHEAD).isoformat()[:19]
