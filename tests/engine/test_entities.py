"""How the messages of one sender to an entity are put in order."""

from __future__ import annotations

from dfhost.engine.entities import MessageSorter


def test_labels_of_one_moment_ascend_into_the_next_second() -> None:
    sorter, at = MessageSorter(), "2026-12-31T23:59:59.999998Z"
    labels = [sorter.label("@counter@x", at) for _ in range(30)]
    sent = [label.rstrip("Z") for label, _ in labels]
    assert sent == sorted(set(sent))
    assert sent[-1] == "2027-01-01T00:00:00.0000009"
    assert [predecessor for _, predecessor in labels[1:]] == [label for label, _ in labels[:-1]]
