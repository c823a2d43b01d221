"""The conditions of queries over all instances."""

from __future__ import annotations

from collections.abc import Sequence


class Where:
    """Conditions on `instances`, all of which must hold: `sql` with its `values`.

    `after`: the id is greater than that. `prefix`: the id begins so, in this case. Bounds are inclusive ISO texts.
    """

    def __init__(
        self,
        statuses: Sequence[str] = (),
        created_from: str | None = None,
        created_to: str | None = None,
        *,
        updated_from: str | None = None,
        updated_to: str | None = None,
        after: str | None = None,
        prefix: str = "",
    ) -> None:
        self._conditions: list[str] = []
        self.values: list[object] = []
        if statuses:
            self.add(f"status IN ({', '.join('?' * len(statuses))})", *statuses)
        for condition, bound in (
            ("instance_id > ?", after),
            ("created_at >= ?", created_from),
            ("created_at <= ?", created_to),
            ("updated_at >= ?", updated_from),
            ("updated_at <= ?", updated_to),
        ):
            if bound is not None:
                self.add(condition, bound)
        if prefix:  # a range, so that the index is used; substr, since LIKE ignores case
            self.add("instance_id >= ? AND substr(instance_id, 1, ?) = ?", prefix, len(prefix), prefix)
            self.add("instance_id < ?", prefix + "\U0010ffff")

    def add(self, condition: str, *values: object) -> None:
        self._conditions.append(condition)
        self.values += values

    @property
    def sql(self) -> str:
        return " AND ".join(self._conditions) or "1"
