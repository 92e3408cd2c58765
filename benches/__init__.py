"""Benchmarks: Headway beside its rivals in one run, interleaved, as medians and ratios. `python -m benches`."""
