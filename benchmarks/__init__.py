"""How fast, measured beside what people would pick instead; how it grows; what faults and many images make of it.

``python -m benchmarks`` runs the workloads, ``python -m benchmarks growth``, ``… faults`` and ``… fanout`` the other
three. Nothing here is part of the package, and nothing here is asserted: figures are printed next to the goals,
and a person reads them.

The way of a measurement: ``rounds`` starts ``server`` in a process of its own on one core, and for every contender,
workload and round a fresh ``worker`` on another. The worker makes the contender's client (``contenders``), has the
workload (``bench_*``) measure it and prints the figures; ``table`` sets them side by side.
"""
