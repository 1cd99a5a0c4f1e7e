"""Instants as whole microseconds since 1970 in UTC, in which the sandbox counts, and back."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def duration_us(duration: timedelta) -> int:
    return duration // _MICROSECOND


def instant(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)
