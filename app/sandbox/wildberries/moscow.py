"""The time zone of Wildberries' texts: UTC+3 all year."""

from datetime import timedelta, timezone

MOSCOW = timezone(timedelta(hours=3))
