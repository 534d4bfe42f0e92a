from tutuclient.testing import FAULTS


def test_every_fault_has_a_line_that_describes_it() -> None:
    assert all(fault.description.endswith(".") and "\n" not in fault.description for fault in FAULTS.values())
    assert {fault.group for fault in FAULTS.values()} == {
        "connecting", "before the answer", "body", "stream", "status", "reuse",
    }  # fmt: skip
