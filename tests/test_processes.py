"""The processes of the tests are what ``subprocess`` starts: arguments, environment, files, exit codes, signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.processes import Forked, ran

SAYS = """
import os, sys
print(__name__, sys.argv[1:], os.getcwd(), os.environ.get("WHO"), "HOME" in os.environ, sys.stdin.read())
print("한국어", file=sys.stderr)
sys.exit(7)
"""


def test_words_environment_folder_input_output_and_exit_code(tmp_path: Path) -> None:
    process = Forked(words=["one", "두 번째"], code=SAYS, environment={"WHO": "kim"}, cwd=tmp_path, stdin=True)
    assert process.pid not in (os.getpid(), os.getppid())
    process.stdin.write("said to it")
    assert process.communicate(60) == (f"__main__ ['one', '두 번째'] {tmp_path} kim False said to it\n", "한국어\n")
    assert process.wait() == 7


def test_a_signal_ends_it_and_an_error_is_told() -> None:
    with Forked(code="import time; print('here', flush=True); time.sleep(600)") as process:
        assert process.stdout.readline() == "here\n"
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert process.poll() == -signal.SIGKILL
    broken = ran(code="raise ValueError('no')")
    assert (broken.returncode, "ValueError: no" in broken.stderr) == (1, True)


def test_what_one_changes_the_next_does_not_see() -> None:
    change = "import state, os; state.left = 1; os.environ['LEFT'] = '1'; import atexit; atexit.register(print, 'end')"
    assert ran(code=change).stdout == "end\n"
    assert ran(code="import state, os; print(hasattr(state, 'left'), 'LEFT' in os.environ)").stdout == "False False\n"
