"""All workloads, in the order of the tables."""

from __future__ import annotations

from benchmarks import (
    bench_break,
    bench_first_token,
    bench_import,
    bench_picture,
    bench_small,
    bench_stream,
    bench_upload,
    bench_waiting,
)

WORKLOADS = (
    *bench_small.WORKLOADS,
    *bench_stream.WORKLOADS,
    *bench_picture.WORKLOADS,
    *bench_upload.WORKLOADS,
    *bench_waiting.WORKLOADS,
    *bench_first_token.WORKLOADS,
    *bench_import.WORKLOADS,
    *bench_break.WORKLOADS,
)
