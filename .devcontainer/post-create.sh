#!/usr/bin/env bash
# What the container lacks: this repository's environment, and Core Tools with Azurite for `func start`.
set -euo pipefail
cd "$(dirname "$0")/.."
make install
npm install --global azure-functions-core-tools@4 azurite@3
test -e local.settings.json || cp local.settings.json.example local.settings.json
