"""Events as JSON."""

import json

from retbench.contracts import Event


def test_a_record_has_no_empty_strings_and_no_none() -> None:
    record = Event("warning", message="out of memory").record()
    assert record == {"event": "warning", "message": "out of memory", "done": 0, "total": 0, "seconds": 0.0}


def test_a_record_keeps_zeros() -> None:
    finished = Event("finished", total=9, seconds=1.5, executed=0, stored=9, skipped=0, failed=0)
    assert finished.record() == {
        "event": "finished",
        "done": 0,
        "total": 9,
        "seconds": 1.5,
        "executed": 0,
        "stored": 9,
        "skipped": 0,
        "failed": 0,
    }


def test_a_record_parses_back_to_the_event() -> None:
    failed = Event("step_failed", "attack", "toy", "ab12", 3, 9, 0.25, 'a "bug"\n', "plugin_error", "Traceback")
    assert Event(**json.loads(json.dumps(failed.record()))) == failed
