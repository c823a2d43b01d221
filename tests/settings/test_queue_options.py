"""host.json's extensions.queues: what queue functions go by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfhost.errors import SettingsError
from dfhost.settings import Settings, read_settings
from dfhost.settings.model import QueueOptions, processor_count


def read(folder: Path, queues: Any, **environ: str) -> Settings:
    (folder / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"queues": queues}}))
    return read_settings(folder, environ)


def test_the_defaults_are_those_of_the_extension(tmp_path: Path) -> None:
    options = read(tmp_path, {}).queues
    assert options == QueueOptions() == Settings().queues
    assert (options.batch_size, options.max_dequeue_count, options.visibility_timeout) == (16, 5, 0.0)
    assert options.new_batch_threshold == 8 * processor_count()
    assert options.max_bytes == 65_536 * 3 // 4  # base64 makes four bytes of three


def test_every_option_is_read(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {
            "batchSize": 4,
            "newBatchThreshold": 1,
            "maxDequeueCount": 2,
            "visibilityTimeout": "00:01:30",
            "messageEncoding": "none",
        },
    )
    assert settings.queues == QueueOptions(
        batch_size=4, new_batch_threshold=1, max_dequeue_count=2, visibility_timeout=90.0, max_bytes=65_536
    )
    assert not [note for note in settings.notes if "queues" in note]


def test_the_threshold_follows_the_batch_size(tmp_path: Path) -> None:
    assert read(tmp_path, {"batchSize": 1}).queues.new_batch_threshold == 0
    assert read(tmp_path, {"batchSize": 32}).queues.new_batch_threshold == 16 * processor_count()
    assert read(tmp_path, {"batchSize": 5, "newBatchThreshold": 0}).queues.new_batch_threshold == 0


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("00:00:00", 0.0), ("00:00:30", 30.0), ("00:00:00.5", 0.5), ("7.00:00:00", 604_800.0)],
)
def test_time_spans(tmp_path: Path, given: str, seconds: float) -> None:
    assert read(tmp_path, {"visibilityTimeout": given}).queues.visibility_timeout == seconds


@pytest.mark.parametrize("name", ["none", "None", "NONE"])
def test_case_does_not_count_in_the_encoding(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, {"messageEncoding": name}).queues.max_bytes == 65_536
    assert read(tmp_path, {"messageEncoding": "Base64"}).queues.max_bytes == 49_152


def test_app_settings_count_more_than_host_json(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {"batchSize": 4, "maxDequeueCount": 9},
        AzureFunctionsJobHost__extensions__queues__batchSize="2",
        AzureFunctionsJobHost__extensions__queues__visibilityTimeout="00:00:05",
    )
    options = settings.queues
    assert (options.batch_size, options.max_dequeue_count, options.visibility_timeout) == (2, 9, 5.0)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("batchSize", 0, "extensions.queues.batchSize"),
        ("batchSize", 33, "is 33; Azure Storage gives out 32 messages at most"),
        ("batchSize", "many", "extensions.queues.batchSize"),
        ("batchSize", 1.5, "extensions.queues.batchSize"),
        ("newBatchThreshold", -1, "extensions.queues.newBatchThreshold"),
        ("maxDequeueCount", 0, "extensions.queues.maxDequeueCount"),
        ("visibilityTimeout", 30, 'has to be a time span such as "00:00:30", not 30'),
        ("visibilityTimeout", "30", 'has to be a time span such as "00:00:30"'),
        ("visibilityTimeout", "-1", 'has to be a time span such as "00:00:30"'),
        ("visibilityTimeout", "7.00:00:01", "Azure Storage hides a message for 7 days at most"),
        ("visibilityTimeout", "9" * 20 + ".00:00:00", 'has to be a time span such as "00:00:30"'),
        ("visibilityTimeout", "00:61:00", 'has to be a time span such as "00:00:30"'),
        ("messageEncoding", "utf8", "extensions.queues.messageEncoding"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(tmp_path: Path, key: str, value: Any, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, {key: value})
    assert words in str(refused.value) and "host.json" in str(refused.value)


def test_a_misspelt_option_is_noted(tmp_path: Path) -> None:
    notes = read(tmp_path, {"maxPollingInterval": "00:00:02", "batchsize": 3, "bachSize": 4}).notes
    assert [note for note in notes if "queues" in note] == [
        "dfhost ignores these settings of host.json: extensions.queues.bachSize (did you mean "
        "extensions.queues.batchSize?)."
    ]
