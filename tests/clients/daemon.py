"""Starts rosterd as a daemon, or its sandbox, in a temporary folder: shared by the clients that look at it over HTTP."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../config")
# More than `shutdown_grace`, which is 25 s.
END_SECONDS = 40


def wait_until(what, function, seconds=30):
    """Calls `function` until it gives something true, and gives that; the last answer is in the error."""
    deadline, last = time.monotonic() + seconds, None
    while True:
        try:
            last = function()
            if last:
                return last
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}\nat last: {last!r}")
        time.sleep(0.1)


def main(run):
    """Runs a client with the path of rosterd made absolute; being told to stop ends its children too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # The sandbox is on this machine: no proxy stands between, and no credentials of the caller's are used.
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    os.environ.update(NO_PROXY="127.0.0.1,localhost", no_proxy="127.0.0.1,localhost")
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} PATH/TO/rosterd")
    sys.argv[1] = os.path.abspath(sys.argv[1])
    run(*sys.argv[1:])


def with_key(text, table, key, value):
    """Settings with one key set: `value` is TOML, and only lines of the form `key = value` are known."""
    before, header, rest = text.partition(f"[{table}]\n")
    assert header, f"no [{table}] in:\n{text}"
    here, bracket, after = rest.partition("\n[")
    lines = [line for line in here.split("\n") if not re.match(rf"{re.escape(key)}\s*=", line)]
    return before + header + "\n".join([f"{key} = {value}", *lines]) + bracket + after


class Process:
    """A child process with its own temporary folder, in which its outputs are files."""

    def __init__(self, arguments, folder, environment=None):
        self.folder = folder
        self.name = " ".join([os.path.basename(arguments[0]), *arguments[1:2]])
        # An output that nobody reads would fill a pipe and stop the child: a file does not fill.
        with open(self.path("stdout"), "w") as out, open(self.path("stderr"), "w") as err:
            self.child = subprocess.Popen(
                arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env={**os.environ, **(environment or {})},
            )

    def path(self, name):
        return os.path.join(self.folder, name)

    def output(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def require_running(self):
        code = self.child.poll()
        assert code is None, f"{self.name} ended with {code}:\n{self.output('stdout')}{self.output('stderr')}"

    def wait_for(self, name, pattern, seconds=30):
        """Waits for a pattern in "stdout" or "stderr" and gives its first group."""

        def look():
            found = re.search(pattern, self.output(name))
            if not found:
                self.require_running()
            return found

        try:
            return wait_until(f"`{pattern}` on {name} of {self.name}", look, seconds).group(1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output('stdout')}{self.output('stderr')}") from None

    def terminate(self):
        """Ends it with SIGTERM and gives the exit code."""
        self.require_running()
        self.child.terminate()
        try:
            return self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end in {END_SECONDS} s:\n{self.output('stderr')}") from None

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


class Served(Process):
    """A child process that answers HTTP, to be used in a `with`: its end is the end of the child and of its folder."""

    def __init__(self, arguments, prepare=None, environment=None):
        self.temporary = tempfile.TemporaryDirectory(prefix="rosterd-")
        try:
            if prepare:
                prepare(self.temporary.name)
            super().__init__(arguments, self.temporary.name, environment)
        except BaseException:
            self.temporary.cleanup()
            raise
        try:
            self.address = self.wait_for(*self.serving)
        except BaseException:
            self.end()
            raise
        self.url = f"http://{self.address}"

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _trace):
        if error is not None:
            tail = self.output("stderr").splitlines()[-60:]
            print(f"--- the end of the log of {self.name}:", *tail, sep="\n", file=sys.stderr)
        self.end()

    def end(self):
        self.kill()
        self.temporary.cleanup()

    def get(self, path, headers=None):
        """Gives status, headers and text; `http.client` knows nothing of proxies and redirects."""
        self.require_running()
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"{path}: {error!r}") from error
        finally:
            connection.close()

    def json(self, path):
        status, _, text = self.get(path)
        assert status == 200, f"{path}: {status}\n{text}"
        return json.loads(text)


class Sandbox(Served):
    """`rosterd sandbox`: AWS in a process of its own."""

    serving = ("stdout", r"listening on http://([\d.]+:\d+)")

    def __init__(self, binary):
        super().__init__([binary, "sandbox", "--listen", "127.0.0.1:0"])


class Daemon(Served):
    """`rosterd run` on a copy of the sample files. `daemon` and `targets` hold settings as TOML, by key and by
    target and key; `extra` is put at the end of the settings."""

    serving = ("stderr", r"serving http://([\d.]+:\d+)")

    def __init__(self, binary, sandbox=True, daemon=None, targets=None, extra=""):
        keys = {"listen": '"127.0.0.1:0"', "state_dir": '"../state"', "interval": '"1s"', "jitter": '"0%"'}

        def prepare(folder):
            shutil.copytree(SAMPLE, os.path.join(folder, "config"))
            with open(os.path.join(folder, "config/rosterd.toml")) as file:
                text = file.read()
            for key, value in {**keys, **(daemon or {})}.items():
                text = with_key(text, "daemon", key, value)
            for target, settings in (targets or {}).items():
                for key, value in settings.items():
                    text = with_key(text, f"targets.{target}", key, value)
            with open(os.path.join(folder, "config/rosterd.toml"), "w") as file:
                file.write(f"{text}\n{extra}\n")

        # A relative path: it may be shown on the page, and the pictures of it are for the documentation.
        arguments = [binary, "run", *(["--sandbox=fresh"] if sandbox else []), "--config", "config/rosterd.toml"]
        credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_EC2_METADATA_DISABLED": "true"}
        super().__init__(arguments, prepare, credentials)

    def status(self):
        return self.json("/api/v1/status")

    def target(self, name):
        return next(t for t in self.status()["targets"] if t["name"] == name)

    def wait_for_passes(self):
        """Waits until a pass of each target has ended."""
        wait_until("a pass of each target", lambda: all(t["last_pass"] for t in self.status()["targets"]))

    def append(self, name, text):
        """Adds to a file of `config` in one step: half a file would be a mistake that rosterd reports."""
        with open(self.path(f"config/{name}")) as file:
            whole = file.read() + text
        with open(self.path(name), "w") as file:
            file.write(whole)
        os.replace(self.path(name), self.path(f"config/{name}"))

    def stop(self):
        """Ends it as a service manager does; anything but exit code 0 is an error."""
        code = self.terminate()
        assert code == 0, f"exit code {code} after SIGTERM:\n{self.output('stderr')}"
