"""Benchmarks: Headway beside its rivals in one run, interleaved, as medians and ratios. `python -m benches`."""

import os

# onnxruntime's own package reports what it runs to its maker unless this forbids it; Headway forbids it by itself. Here
# it is off for both, so that neither pays for it. Read when a library is loaded, hence before any is.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
