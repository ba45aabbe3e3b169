"""Row 31: a task's output, when somebody outside of the task has got hold of it."""

import os
from pathlib import Path

from elevate.broker import Broker
from elevate.outcome import Events, drain, ending
from elevate.tasks import Task


def test_31_who_holds_the_output_open_after_the_task_holds_up_nobody(tmp_path: Path) -> None:
    """The other end of the pipe stays open elsewhere: the run ends with the task, and nothing that it wrote is lost."""
    with Broker.embedded(tmp_path / "state") as broker:
        grant = broker.elevate(Task.run(["/bin/sh", "-c", "echo told; sleep 0.2"]))
        running = grant.start("ab" * 16, grant.agreement.requester.process)
        outside = os.open(f"/proc/{running.pid}/fd/1", os.O_WRONLY)
        with Events(lambda _: None) as events, ending(running.wait, events):
            captured = drain((running.stdout, running.stderr), events.fileno(), capture=True, heard=events.heard)
        assert captured[0] == b"told\n"
        assert grant.finish(running, captured).exit_status == 0
        os.close(outside)
