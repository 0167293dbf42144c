#!/usr/bin/env bash
# VNN-COMP: prepare_instance.sh v1 BENCHMARK ONNX VNNLIB
# Only looks whether the files of the instance are there: the rules forbid any analysis here. ONNX may be a Python list
# of (name, path) pairs.
set -euo pipefail

if [ "${1:-}" != v1 ] || [ "$#" -ne 4 ]; then
    echo "prepare_instance.sh: expected v1 BENCHMARK ONNX VNNLIB" >&2
    exit 1
fi
python=${SECATEUR_PYTHON:-python3}

exec "$python" -c '
import ast, os, sys
onnx, vnnlib = sys.argv[1:]
try:
    paths = [path for _, path in ast.literal_eval(onnx)] if onnx.startswith("[") else [onnx]
except (ValueError, SyntaxError, TypeError):
    sys.exit(f"prepare_instance.sh: no list of (name, path) pairs: {onnx}")
for path in (*paths, vnnlib):
    if not (os.path.isfile(path) or os.path.isfile(path + ".gz")):
        sys.exit(f"prepare_instance.sh: there is no file {path}")
' "$3" "$4"
