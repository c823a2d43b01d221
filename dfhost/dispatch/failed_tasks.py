"""Which tasks an orchestration has failed of, in the words of its timeline, for the console."""

from __future__ import annotations

from dfhost.credentials import hide_credentials
from dfhost.store.store import Store
from dfhost.timeline.builder import build_timeline
from dfhost.timeline.sentences import failure_sentence

_LISTED = 3


def failed_tasks(store: Store, instance_id: str, output: str) -> list[str]:
    """``process_item [3] "item-4" failed, attempt 3 of 3: ValueError: bad``, a line for each task.

    Of the failed tasks those whose error is in `output`, the instance's: it has caught the others.
    """
    stored = store.timeline(instance_id)
    if stored is None:  # purged meanwhile
        return []
    failed = build_timeline(stored, {}).failed_tasks()
    told = [task for task in failed if task.error and task.error.split("\n")[0] in output]
    more = [f"{len(told) - _LISTED} more tasks failed, too"] if len(told) > _LISTED else []
    return [*(hide_credentials(failure_sentence(task)) for task in told[:_LISTED]), *more]
