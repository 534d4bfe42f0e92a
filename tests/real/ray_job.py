"""A script as people write it: a dataset of Ray's, answered or drawn. Run by test_ray.py, where Ray is installed."""

from __future__ import annotations

import sys

import ray

from tutuclient import TutuClient
from tutuclient.integrations.ray import analyze_dataset

url, folder, task, temp, rows_per_block = sys.argv[1:]
ray.init(num_cpus=3, object_store_memory=200_000_000, include_dashboard=False, _temp_dir=temp)
try:
    orders = {"generate": True, "journal_dir": f"{folder}/orders"} if task == "draw" else {"image_column": None}
    answered = analyze_dataset(
        ray.data.read_parquet(f"{folder}/rows"),
        client=TutuClient(base_url=url, max_concurrency=32),
        checkpoint=f"{folder}/checkpoint",
        num_workers=2,
        rows_per_block=int(rows_per_block),
        id_column="key",
        prompt_column="ask",
        **orders,
    )
    answered.write_parquet(f"{folder}/answers")
finally:
    ray.shutdown()
