"""What this host answers in each scenario is what Microsoft's extension answered.

Where dfhost differs on purpose (`differences.py`) it must answer exactly what is said there; a foreign host
is held to the recording.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.azure_functions import unknown_module_error

from .conftest import Played
from .differences import DIFFERENCES
from .matching import Matcher
from .scenarios import SCENARIOS, Scenario

RECORDINGS = Path(__file__).parent / "recordings"

# The first test plays all scenarios; on a slow host they take minutes.
pytestmark = pytest.mark.timeout(1800)


# The one text of the recordings that depends on the version of azure-functions, here 1.26.
UNKNOWN_MODULE = "ValueError: cannot deserialize custom object: module 'nowhere' is not loaded in sys.modules"


def recorded(scenario: Scenario, on_dfhost: bool = False) -> Any:
    """The recording; for dfhost with the text of the azure-functions that is installed here."""
    text = (RECORDINGS / scenario.recording).read_text(encoding="utf-8")
    return json.loads(text.replace(UNKNOWN_MODULE, unknown_module_error("nowhere")) if on_dfhost else text)


def mismatches(scenario: Scenario, played: Played, expected: Any, on_dfhost: bool) -> list[str]:
    matcher = Matcher(
        base=played.base,
        names=played.names,
        exact_times=scenario.set == "basics",
        interleaved=scenario.interleaved,
        keyed=not on_dfhost,
    )
    return matcher.differences(expected, played.answer)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_answers_as_recorded(scenario: Scenario, played: dict[str, Played], on_dfhost: bool) -> None:
    what = played[scenario.name]
    if what.error:
        raise what.error
    expected = recorded(scenario, on_dfhost)
    note = ""
    if on_dfhost and (difference := DIFFERENCES.get(scenario.name)):
        expected = difference.instead_of(expected)
        note = f" (differs by design: {difference.reason})"
    wrong = mismatches(scenario, what, expected, on_dfhost)
    assert not wrong, f"{scenario.name}{note}\n" + "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(DIFFERENCES))
def test_each_listed_difference_is_one(name: str) -> None:
    """A difference that expects what was recorded would be no difference."""
    before = recorded(SCENARIOS[name])
    assert DIFFERENCES[name].instead_of(recorded(SCENARIOS[name])) != before
    assert DIFFERENCES[name].reason


def test_every_recording_has_a_scenario() -> None:
    files = {path.relative_to(RECORDINGS).as_posix() for path in RECORDINGS.glob("*/*.json")}
    assert files == {scenario.recording for scenario in SCENARIOS.values()}
