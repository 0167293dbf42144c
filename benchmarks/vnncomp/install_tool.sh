#!/usr/bin/env bash
# VNN-COMP: install_tool.sh v1
# Installs Secateur from this checkout and compiles its kernels once, so that no instance pays for it.
# SECATEUR_PYTHON names the interpreter (default python3).
set -euo pipefail

if [ "${1:-}" != v1 ]; then
    echo "install_tool.sh: expected the version v1, got '${1:-}'" >&2
    exit 1
fi
python=${SECATEUR_PYTHON:-python3}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

"$python" -m pip install "$root"
"$python" -m secateur warmup
