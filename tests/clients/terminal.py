"""Runs rosterd on a real terminal (a pseudo-terminal): colours, the question, Ctrl-C at the question.

    python3 tests/clients/terminal.py PATH/TO/rosterd
"""

import os
import pty
import select
import shutil
import sys
import tempfile
import time

passed = 0


def check(condition, what):
    global passed
    assert condition, what
    passed += 1


def on_terminal(folder, arguments, answers):
    """Runs rosterd on a terminal; `answers` are (text to wait for, keys to press). Gives code and output."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(TERM="xterm-256color", AWS_EC2_METADATA_DISABLED="true")
        os.environ.pop("NO_COLOR", None)
        os.execv(arguments[0], arguments)
    output, waiting, deadline = b"", list(answers), time.monotonic() + 60
    while time.monotonic() < deadline:
        if waiting and waiting[0][0].encode() in output:
            os.write(terminal, waiting.pop(0)[1].encode())
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        output += more
    else:
        os.kill(child, 9)
        raise AssertionError(f"no end after 60 s:\n{output.decode(errors='replace')}")
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), output.decode(errors="replace")


def main(binary):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(os.path.join(os.path.dirname(__file__), "../../config"), os.path.join(folder, "config"))
        question = "Only `yes` is taken"

        code, text = on_terminal(folder, [binary, "plan", "--sandbox=fresh"], [])
        check(code == 0 and "\x1b[" in text, "a plan on a terminal is coloured")

        code, text = on_terminal(folder, [binary, "apply", "--sandbox"], [(question, "no\r")])
        check(code == 1 and "nothing was written" in text, text)
        code, text = on_terminal(folder, [binary, "apply", "--sandbox"], [(question, "\x03")])
        check(code == 1 and "interrupted: nothing was written" in text, text)

        code, text = on_terminal(folder, [binary, "apply", "--sandbox"], [(question, "yes\r")])
        check(code == 0 and "Applied: 25 done." in text, text)
        code, text = on_terminal(folder, [binary, "apply", "--sandbox"], [])
        check(code == 0 and "Nothing to do." in text and question not in text, text)

        os.environ["NO_COLOR"] = "1"
        code, text = on_terminal(folder, ["/usr/bin/env", "NO_COLOR=1", binary, "check"], [])
        check(code == 0 and "\x1b[" not in text.replace("\x1b[?25h", ""), repr(text))
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
