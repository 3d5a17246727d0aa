"""Reads the daemon's metrics with Prometheus itself: promtool's linter, and a server that scrapes them.

    python3 tests/clients/prometheus.py PATH/TO/rosterd

Needs Debian's package `prometheus`.
"""

import math
import re
import shutil
import subprocess
import sys
import urllib.parse

# The scripts are in the repository, and so would be what Python compiles of them.
sys.dont_write_bytecode = True
import daemon  # noqa: E402
from daemon import wait_until  # noqa: E402

TARGETS = {"portal", "bi", "research"}
CONFIG = """
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: rosterd
    static_configs:
      - targets: ["{address}"]
"""

passed = 0


def check(condition, what):
    global passed
    assert condition, what
    passed += 1


class Prometheus(daemon.Served):
    """A server that scrapes one address each second."""

    # It logs the port it was given in place of 0 in this line only.
    serving = ("stderr", r'msg="Listening on" address=([\d.]+:\d+)')

    def __init__(self, address):
        def prepare(folder):
            with open(f"{folder}/prometheus.yml", "w") as file:
                file.write(CONFIG.format(address=address))

        arguments = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
        super().__init__([*arguments, "--web.listen-address=127.0.0.1:0"], prepare)

    def ask(self, path, **parameters):
        """Gives `data` of an answer of its HTTP API, which has to be a success."""
        status, _, text = self.get(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        # It answers 503 until its storage is open.
        if status == 503:
            raise OSError(text)
        answer = daemon.json.loads(text)
        assert status == 200 and answer["status"] == "success", f"{path} {parameters}: {text}"
        return answer["data"]

    def query(self, expression):
        """Gives (labels, value) of an instant query."""
        result = self.ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def becomes(self, expression, enough=bool, seconds=30):
        """Waits until a query gives a result that is enough."""

        def look():
            result = self.query(expression)
            return result if enough(result) else None

        try:
            return wait_until(expression, look, seconds)
        except AssertionError as error:
            scrape = self.ask("targets")["activeTargets"]
            raise AssertionError(f"{error}\nthe result: {self.query(expression)}\nthe scrape: {scrape}") from None


def lint(rosterd):
    """The text itself: its content type, and what promtool makes of it."""
    status, headers, text = rosterd.get("/metrics")
    check(status == 200, f"/metrics: {status}\n{text}")
    kind = headers.get("content-type", "")
    check(kind.startswith("text/plain; version=0.0.4"), f"the content type of /metrics is {kind!r}")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    said = done.stdout + done.stderr
    check(done.returncode == 0 and not said, f"promtool check metrics: {done.returncode}\n{said}\nof:\n{text}")
    series = [line for line in text.splitlines() if line.startswith("rosterd_")]
    check(series, f"no series of rosterd:\n{text}")
    personal = [line for line in series if "@" in line or "%40" in line]
    check(not personal, f"personal data in labels: {personal}")


def scrape(prometheus):
    """What Prometheus makes of the scraped series."""
    becomes = prometheus.becomes
    check(becomes('up{job="rosterd"} == 1'), "the scrape succeeds")
    check(becomes('sum(rosterd_passes_total{outcome="ok"}) >= 3'), "passes are counted")
    check(len(becomes("rosterd_build_info == 1")) == 1, "there is one build")
    check(becomes("process_resident_memory_bytes > 0"), "the memory of the process is known")

    median = "histogram_quantile(0.5, sum by (le) (rate(rosterd_pass_duration_seconds_bucket[1m])))"
    result = becomes(median, lambda result: result and not math.isnan(result[0][1]))
    check(0 < result[0][1] < 60, f"a pass of the sandbox takes {result[0][1]} s")

    recent = "time() - rosterd_last_successful_pass_timestamp_seconds < 60"
    result = becomes(recent, lambda result: len(result) >= len(TARGETS))
    names = {labels.get("target") for labels, _ in result}
    check(names == TARGETS, f"targets that succeeded lately: {result}")
    check(all(age > -5 for _, age in result), f"the times are seconds of the present: {result}")

    [active] = prometheus.ask("targets")["activeTargets"]
    check(active["health"] == "up" and not active["lastError"], active)

    metadata = {n: m for n, m in prometheus.ask("metadata").items() if n.startswith("rosterd_")}
    check("rosterd_passes_total" in metadata and "rosterd_build_info" in metadata, sorted(metadata))
    bare = [n for n, entries in metadata.items() if not all(entry["help"].strip() for entry in entries)]
    check(not bare, f"without help: {bare}")
    untyped = [n for n, entries in metadata.items() if any(entry["type"] == "unknown" for entry in entries)]
    check(not untyped, f"without a type: {untyped}")

    series = prometheus.ask("series", **{"match[]": '{__name__=~"rosterd_.+"}'})
    check(len(series) > len(metadata) / 2, f"{len(series)} series of {len(metadata)} metrics")
    unknown = {labels["__name__"] for labels in series} - set(metadata)
    unknown = {name for name in unknown if re.sub("_(bucket|sum|count)$", "", name) not in metadata}
    check(not unknown, f"series without metadata: {unknown}")
    personal = [labels for labels in series if any("@" in v or "%40" in v for v in labels.values())]
    check(not personal, f"personal data in labels: {personal}")


def main(binary):
    missing = [tool for tool in ("prometheus", "promtool") if not shutil.which(tool)]
    if missing:
        print(f"SKIPPED: {' and '.join(missing)} not installed (apt-get install --no-install-recommends prometheus)")
        return
    # People are shown on the page, and still not in labels.
    with daemon.Daemon(binary, extra="[status_page]\nshow_people = true") as rosterd:
        rosterd.wait_for_passes()
        lint(rosterd)
        with Prometheus(rosterd.address) as prometheus:
            scrape(prometheus)
            check(prometheus.terminate() == 0, prometheus.output("stderr"))
        rosterd.stop()
        check(True, "it ends with exit code 0")
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    daemon.main(main)
