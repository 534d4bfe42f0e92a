"""One measurement in a fresh process: ``python -m benchmarks.worker JSON`` prints its figures as the last line.

The JSON names the contender, the workload, the scale, the server's origin and the core. Without a workload the
worker only tells which versions it would measure. Nothing of a contender is imported before its client is made.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib import import_module
from typing import Any

from benchmarks import growth
from benchmarks.contenders.runs import EVERY
from benchmarks.fanout import suite as fanout
from benchmarks.server import pin
from benchmarks.suite import WORKLOADS
from benchmarks.workload import Case


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Run the request in this process, and return its result."""
    contender = EVERY[asked["contender"]]
    if contender.blocked:
        sys.modules[contender.blocked] = None  # type: ignore[assignment]  # makes importing it an ImportError
    if missing := contender.missing():
        return {"missing": missing}
    if asked.get("faults"):
        return {"faults": asyncio.run(import_module("benchmarks.faults").play_all(contender.name))}
    if relays := asked.get("relays"):
        return asyncio.run(import_module("benchmarks.relays").play(contender.name, **relays))
    if "workload" not in asked:
        return {"versions": contender.versions()}
    measured = (*WORKLOADS, *growth.WORKLOADS, *fanout.WORKLOADS)
    workload = next(each for each in measured if each.name == asked["workload"])
    if workload.pinned:
        pin(asked["core"])
    scale = asked["scale"]
    amount = workload.amounts[scale][contender.slow]
    try:
        figures = asyncio.run(workload.measure(Case(contender, asked["origin"], amount, scale)))
    except NotImplementedError as error:
        return {"absent": str(error)}
    return {"figures": figures, "amount": amount}


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps(answer(json.loads(sys.argv[1])))}\n")
    sys.stdout.flush()
    os._exit(0)  # How a contender's threads end with the interpreter is not measured; pyreqwest's abort it at times.
