#!/usr/bin/env bash
# Compile requirements/*.in to pinned files with hashes. `make lock` calls this.
# Without arguments pins are kept where they still fit; `--upgrade` takes the newest.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$@"
}
# dev.txt first: it holds the tightest bounds (OpenTelemetry's instrumentations want one exact
# release), and base.txt must not pin another one beside it.
compile requirements/dev.in -o requirements/dev.txt "$@"
compile requirements/base.in -c requirements/dev.txt -o requirements/base.txt "$@"
compile requirements/prometheus-client-tests.in -o requirements/prometheus-client-tests.txt "$@"
compile requirements/sbom.in -o requirements/sbom.txt "$@"
