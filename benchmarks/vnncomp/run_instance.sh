#!/usr/bin/env bash
# VNN-COMP: run_instance.sh v1 BENCHMARK ONNX VNNLIB RESULTS_FILE TIMEOUT
# Writes the verdict and, after `sat`, the witness. The results file appears at once, whole: a run that is killed leaves
# none, and never half a witness. ONNX may be a Python list of (name, path) pairs.
# SECATEUR_PYTHON names the interpreter (default python3).
set -euo pipefail

if [ "${1:-}" != v1 ] || [ "$#" -ne 6 ]; then
    echo "run_instance.sh: expected v1 BENCHMARK ONNX VNNLIB RESULTS_FILE TIMEOUT" >&2
    exit 1
fi
onnx=$3 vnnlib=$4 results=$5 timeout=$6
python=${SECATEUR_PYTHON:-python3}

existing() { # the file, or its packed form
    if [ ! -f "$1" ] && [ -f "$1.gz" ]; then echo "$1.gz"; else echo "$1"; fi
}

networks=()
if [[ $onnx == "["* ]]; then
    pairs=$("$python" -c '
import ast, sys
try:
    print(*(word for name, path in ast.literal_eval(sys.argv[1]) for word in (name, path)), sep="\n")
except (ValueError, SyntaxError, TypeError):
    sys.exit("run_instance.sh: no list of (name, path) pairs: " + sys.argv[1])' "$onnx")
    while IFS= read -r name && IFS= read -r path; do
        networks+=(--network "$name=$(existing "$path")")
    done <<<"$pairs"
else
    networks=(--network "$(existing "$onnx")")
fi

partial="$results.partial.$$"
trap 'rm -f "$partial"' EXIT
"$python" -m secateur verify "$(existing "$vnnlib")" "${networks[@]}" --timeout "$timeout" >"$partial"
# The harness of 2025 knows only the older word.
if [ "$(head -n 1 "$partial")" = timed-out ]; then echo timeout >"$partial"; fi
mv -f "$partial" "$results"
