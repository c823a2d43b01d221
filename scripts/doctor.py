"""Have azure-functions-doctor examine what is deployed: `make check` fails on any finding without a reason below.

Owns the choice of files: the package as Azure gets it, and the template, in a folder of their own. In the whole
repository the doctor would judge the apps that tests are made of, and read ten thousand files to do so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ["function_app.py", "fan_out", "host.json", "requirements.txt"]
WITH_IT = [".funcignore", "infra"]
PYTHON = "3.12"  # infra/main.bicep: pythonVersion

# Findings that are not faults, and why. One that is no longer found has to go.
EXCUSED = {
    "check_app_insights": "infra/app.bicep sets the connection string, in a form that the doctor does not read",
}


def findings(folder: Path) -> dict[str, str]:
    """Rule → what the doctor says, for every rule it neither passed nor skipped."""
    report = folder / "report.json"
    doctor = Path(sys.executable).with_name("azure-functions-doctor")
    options = ["--profile", "deploy", "--target-python", PYTHON, "--hosting-plan", "flex-consumption"]
    run = subprocess.run(
        [str(doctor), "doctor", "--path", str(folder), *options, "--format", "json", "--output", str(report)],
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists():
        raise SystemExit(f"azure-functions-doctor gave no report:\n{run.stdout}{run.stderr}")
    items = [item for section in json.loads(report.read_text())["results"] for item in section["items"]]
    if not any(item["status"] == "pass" for item in items):
        raise SystemExit("azure-functions-doctor checked nothing.")
    return {item["rule_id"]: item["value"] for item in items if item["status"] not in ("pass", "skip")}


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for entry in PACKAGE + WITH_IT:
            source = ROOT / entry
            if source.is_dir():
                shutil.copytree(source, folder / entry, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / entry)
        found = findings(folder)
    for rule, what in found.items():
        if rule not in EXCUSED:
            print(f"{rule}: {what}", file=sys.stderr)
    for rule in EXCUSED.keys() - found.keys():
        print(f"{rule}: excused in scripts/doctor.py, but no longer found", file=sys.stderr)
    if found.keys() != EXCUSED.keys():
        return 1
    print(f"azure-functions-doctor: nothing to complain of ({len(EXCUSED)} excused).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
