"""Batch runs: many items, answered within the pace of the relay, and a journal that survives what interrupts them."""
