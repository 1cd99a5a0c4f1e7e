"""What workers do about webhooks: one deliverer per process, woken by a doorbell."""

from app.events.jobs import DeliverEvents
from app.jobs import broker
from app.settings import Settings
from app.webhooks.delivery import Deliverer
from app.webhooks.sender import close_sender, get_sender, open_sender

_deliverer: Deliverer | None = None


@broker.task(DeliverEvents.name)
async def deliver_events() -> None:
    """Wake the deliverer. The task ends at once, so that a slow receiver takes no place of a sync's."""
    if _deliverer is not None:
        _deliverer.wake()


def start(settings: Settings) -> None:
    """At the process's start, inside its event loop."""
    global _deliverer
    open_sender(settings)
    _deliverer = Deliverer(get_sender(), settings.webhook_retry_schedule_s)
    _deliverer.start()
    _deliverer.wake()  # for what was left by the last process


async def stop() -> None:
    """At the process's stop: the attempts that are under way end."""
    global _deliverer
    if _deliverer is not None:
        await _deliverer.stop()
        _deliverer = None
    await close_sender()
