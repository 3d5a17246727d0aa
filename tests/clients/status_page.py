"""Opens the daemon's status page in Chromium: what it shows, that it follows, its console, and its accessibility.

    python3 tests/clients/status_page.py PATH/TO/rosterd [--screenshots FOLDER]

Needs Debian's packages `chromium` and `chromium-driver`, selenium from PyPI, and for the accessibility npm, which
fetches axe-core. With --screenshots the documentation's pictures of the page are made.
"""

import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

# The scripts are in the repository, and so would be what Python compiles of them.
sys.dont_write_bytecode = True
import daemon  # noqa: E402
from daemon import wait_until  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402

CHROMIUM, CHROMEDRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
# Pinned: a later release may have more rules, and what fails should be the page.
AXE = "axe-core@4.14.1"
TARGETS = ("portal", "bi", "research")
# As wide as a laptop's window, and a phone.
WIDE, PHONE = (1280, 900), (390, 844)
ADDRESS = re.compile(r"[\w.+-]+(?:@|%40|&#64;)[\w-]+\.[\w.-]+")
# An ADMIN of the sample world who shall become a READER: QuickSight refuses that, so the page keeps showing it.
ONE_MORE = """
[roles.night-watch]
quicksight = { role = "READER", groups = ["readers"] }

[users.night-watch]
email = "breakglass@example.com"
roles = ["night-watch"]
"""

passed = 0


def check(condition, what):
    global passed
    assert condition, what
    passed += 1


class Browser:
    """Headless Chromium with a profile of its own, and all that it says on its console."""

    def __init__(self, scripts=True):
        self.console = []
        self.profile = tempfile.TemporaryDirectory(prefix="rosterd-chromium-", ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (
            "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-dev-shm-usage",
            "disable-background-networking", "disable-component-update", "disable-sync", "no-proxy-server",
            f"user-data-dir={self.profile.name}", f"window-size={WIDE[0]},{WIDE[1]}",
        ):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if not scripts:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        service = Service(CHROMEDRIVER)
        try:
            self.driver = webdriver.Chrome(options=options, service=service)
        except BaseException:
            service.stop()
            self.profile.cleanup()
            raise
        self.driver.set_page_load_timeout(30)
        self.driver.set_script_timeout(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.driver.quit()
        finally:
            self.profile.cleanup()

    def open(self, rosterd):
        self.driver.get(f"{rosterd.url}/")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self):
        """All text of the page, folded or not, with single spaces; pieces of text do not run together."""
        script = """
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = []
            while (walk.nextNode()) {
                if (!walk.currentNode.parentElement.closest('script, style')) found.push(walk.currentNode.data)
            }
            return found.join(' ')"""
        return squeezed(self.run(script))

    def problems(self):
        """Errors and warnings on the console so far; a breach of the content security policy is among them."""
        self.console += self.driver.get_log("browser")
        return [entry for entry in self.console if entry["level"] in ("WARNING", "SEVERE")]

    def look(self, size=WIDE, scheme="light"):
        """Sets the window's size, narrow ones as on a phone, and the preferred colours."""
        width, height = size
        metrics = dict(width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        dark = self.run("return matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (scheme == "dark"), f"asked for {scheme}, got another"

    def picture(self, path, height_max):
        """Saves the whole page, as far as the height allows."""
        height = self.run("scrollTo(0, 0); return Math.ceil(document.documentElement.getBoundingClientRect().height)")
        width = self.run("return innerWidth")
        clip = dict(x=0, y=0, width=width, height=min(max(height, 1), height_max), scale=1)
        shot = dict(format="png", captureBeyondViewport=True, clip=clip)
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"]))


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def named(name, text):
    """A name on its own: `bi` is part of many words."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)


def titled(browser):
    """The window learns its title a moment after the page has loaded."""
    return wait_until("rosterd in the title", lambda: "rosterd" in browser.driver.title, 10)


def quiet(browser):
    problems = browser.problems()
    check(not problems, f"on the console: {problems}")


def opening(browser, rosterd):
    """The page is there, and without names."""
    # The console is read at all: this warning is the only one that is allowed.
    browser.run("console.warn('heard')")
    check(any("heard" in p["message"] for p in browser.problems()), "the console is heard")
    browser.console.clear()
    browser.open(rosterd)
    check(titled(browser), "the title names rosterd")
    headings = browser.run("return Array.from(document.querySelectorAll('h1'), h => h.innerText.trim())")
    check(len(headings) == 1 and "rosterd" in headings[0].lower(), f"the headings: {headings}")
    for name in TARGETS:
        check(named(name, browser.text()), f"{name} is not on the page: {browser.text()}")
    for source in (browser.driver.page_source, rosterd.get("/")[2]):
        check(not ADDRESS.findall(source), f"addresses on the page: {ADDRESS.findall(source)}")
    quiet(browser)


def following(browser, rosterd):
    """The page shows what a pass changed, by itself."""
    # A reload would make a new window object, without the mark.
    browser.run("window.mark = 'kept'")
    check("night-watch" not in browser.text(), "the new user is not there yet")
    users = rosterd.status()["configuration"]["users"]
    rosterd.append("roster.toml", ONE_MORE)
    wait_until("one more user on the roster", lambda: rosterd.status()["configuration"]["users"] == users + 1, 60)
    plan = "/api/v1/plan"
    wait_until("the new user in the plan", lambda: "night-watch" in rosterd.get(plan)[2])
    try:
        wait_until("the new user on the page", lambda: "night-watch" in browser.text())
    except AssertionError as error:
        raise AssertionError(f"{error}\nthe page: {browser.text()}\nthe console: {browser.problems()}") from None
    check(True, "the page follows")
    check(browser.run("return window.mark") == "kept", "the page was reloaded")
    check(not ADDRESS.findall(browser.driver.page_source), "no addresses after a refresh")
    quiet(browser)


def failing(browser, rosterd):
    """A target that fails says so, why, and what to do; the others are as before."""
    wait_until("a failing target", lambda: rosterd.target("research")["state"] == "failing")
    wait_until("a pass of bi", lambda: rosterd.target("bi")["last_success"])
    browser.open(rosterd)
    script = """
        return Array.from(document.querySelectorAll('#main *'), e => e.textContent)
            .filter(t => t.includes('research') && /failing/i.test(t) && !t.includes('portal')).length"""
    check(wait_until("research as failing", lambda: browser.run(script)), "the target is shown as failing")

    def lacking():
        # Read together, and anew: a message may differ from pass to pass.
        browser.open(rosterd)
        status, text = rosterd.status(), browser.text()
        notes = [e for e in status["errors"] if e["target"] == "research"]
        if not notes:
            return "any note among the errors"
        error = next(t for t in status["targets"] if t["name"] == "research")["error"]
        wanted = (error, notes[0]["message"], notes[0]["advice"])
        return [part for part in wanted if not part or squeezed(part) not in text]

    try:
        wait_until("the error and what to do about it", lambda: not lacking())
    except AssertionError as error:
        raise AssertionError(f"{error}\nlacking: {lacking()}\nthe page: {browser.text()}") from None
    check(True, "the error and the advice are shown")
    check(all(named(name, browser.text()) for name in TARGETS), f"each target is shown: {browser.text()}")
    quiet(browser)


def shape(browser):
    """Light, dark and on a phone: colours that follow, and nothing wider than the screen."""
    colours = []
    for scheme in ("light", "dark"):
        browser.look(scheme=scheme)
        colours.append(browser.run("return getComputedStyle(document.body).color"))
    check(colours[0] != colours[1], f"text is {colours[0]} in light and {colours[1]} in dark")
    browser.look(size=PHONE)
    width = "return [document.documentElement.scrollWidth, innerWidth]"
    script = """
        return Array.from(document.querySelectorAll('body *'))
            .filter(e => e.getBoundingClientRect().right > arguments[0] + 0.5)
            .map(e => e.outerHTML.slice(0, 120)).slice(0, 8)"""
    for folded in (True, False):
        if not folded:
            browser.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        scroll, inner = browser.run(width)
        check(scroll <= inner == PHONE[0], f"{scroll} px wide on a screen of {PHONE[0]}: {browser.run(script, PHONE[0])}")
    browser.look()


def accessible(browser, axe, where):
    """axe-core finds no violation in light, in dark and on a phone."""
    for size, scheme in ((WIDE, "light"), (WIDE, "dark"), (PHONE, "light"), (PHONE, "dark")):
        browser.look(size, scheme)
        violations = examine(browser, axe)
        check(not violations, f"axe-core on {where}, {size[0]} px, {scheme}:\n" + "\n".join(violations))
    browser.look()
    quiet(browser)


def examine(browser, axe):
    """The violations axe-core finds, in words; what is folded is unfolded, for it is not looked at otherwise."""
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    # Scripts of the driver are not subject to the page's content security policy.
    browser.run(f"if (!window.axe) {{ {axe} }}")
    found = browser.driver.execute_async_script("""
        const done = arguments[arguments.length - 1]
        axe.run(document, { rules: { 'color-contrast': { enabled: true } }, resultTypes: ['violations'] })
            .then(r => done(r.violations.map(v => `${v.id} (${v.impact}): ${v.help}\\n` + v.nodes.slice(0, 5)
                .map(n => `  ${n.html.slice(0, 200)}\\n  ${n.failureSummary}`).join('\\n'))),
                  e => done([`axe-core failed: ${e}`]))""")
    return found


def axe_core(folder):
    """The source of axe-core from the npm registry, or why there is none."""
    try:
        command = ["npm", "pack", "--silent", AXE]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
        if done.returncode != 0:
            return None, squeezed(done.stderr)[:300] or f"npm pack: {done.returncode}"
        with tarfile.open(os.path.join(folder, done.stdout.split()[-1])) as package:
            return package.extractfile("package/axe.min.js").read().decode(), None
    except (OSError, subprocess.TimeoutExpired, tarfile.TarError, KeyError, IndexError) as error:
        return None, repr(error)


def without_scripts(rosterd):
    """The page is complete without JavaScript."""
    with Browser(scripts=False) as browser:
        # Its scripts really are off.
        page = os.path.join(browser.profile.name, "off.html")
        with open(page, "w") as file:
            file.write("<!doctype html><title>off</title><script>document.title = 'on'</script>")
        browser.driver.get(f"file://{page}")
        title = wait_until("a title", lambda: browser.driver.title in ("off", "on") and browser.driver.title, 10)
        check(title == "off", "JavaScript is not disabled")
        browser.open(rosterd)
        check(titled(browser), "the title names rosterd")
        body = squeezed(browser.driver.find_element("tag name", "body").text)
        for name in TARGETS:
            check(named(name, body), f"{name} is not on the page without JavaScript: {body}")
        check("night-watch" in browser.driver.page_source, f"the plan is not there without JavaScript: {body}")
        quiet(browser)


def main(binary, *options):
    pictures = None
    if options:
        assert options[0] == "--screenshots" and len(options) == 2, f"unknown options: {options}"
        pictures = os.path.abspath(options[1])
        os.makedirs(pictures, exist_ok=True)
    missing = [path for path in (CHROMIUM, CHROMEDRIVER) if not shutil.which(path)]
    if missing:
        print(f"SKIPPED: no {' and no '.join(missing)} (apt-get install --no-install-recommends chromium chromium-driver)")
        return
    with contextlib.ExitStack() as stack:
        axe, reason = axe_core(stack.enter_context(tempfile.TemporaryDirectory(prefix="rosterd-axe-")))
        if not axe:
            print(f"SKIPPED: axe-core, no accessibility is checked: {reason}")
        browser = stack.enter_context(Browser())

        with daemon.Daemon(binary) as rosterd:
            rosterd.wait_for_passes()
            opening(browser, rosterd)
            following(browser, rosterd)
            shape(browser)
            if axe:
                accessible(browser, axe, "the page")
                browser.run("document.body.append(document.createElement('img'))")
                check(any("image-alt" in v for v in examine(browser, axe)), "axe-core finds what is wrong")
            without_scripts(rosterd)
            # An open page would tell on the console that nobody answers.
            browser.driver.get("about:blank")
            rosterd.stop()
            check(True, "it ends with exit code 0")

        with daemon.Sandbox(binary) as sandbox:
            targets = {name: {"endpoint_url": f'"{sandbox.url}"'} for name in TARGETS}
            # Nobody listens on port 1.
            targets["research"] = {"endpoint_url": '"http://127.0.0.1:1"'}
            limits = {"max_attempts": "1", "call_timeout": '"1s"'}
            with daemon.Daemon(binary, sandbox=False, daemon=limits, targets=targets) as rosterd:
                failing(browser, rosterd)
                shape(browser)
                if pictures:
                    read = lambda: all(t["was_observed"] or t["name"] == "research" for t in rosterd.status()["targets"])
                    wait_until("the other targets", read)
                    browser.open(rosterd)
                    for name, size, scheme, height_max in (
                        ("status-light", WIDE, "light", 1800),
                        ("status-dark", WIDE, "dark", 1800),
                        ("status-phone", PHONE, "light", 1600),
                    ):
                        browser.look(size, scheme)
                        browser.picture(os.path.join(pictures, f"{name}.png"), height_max)
                        print(f"saved {os.path.join(pictures, name)}.png")
                    browser.look()
                if axe:
                    accessible(browser, axe, "the page with a failing target")
                browser.driver.get("about:blank")
                rosterd.stop()

        with daemon.Daemon(binary, extra="[status_page]\nshow_people = true") as rosterd:
            rosterd.wait_for_passes()
            browser.open(rosterd)
            # Blocked in the sample world, so the address stays.
            address = "bob@example.com"
            wait_until(f"{address} on the page", lambda: address in browser.text())
            check(address in rosterd.get("/")[2], "and in the page as it is served")
            shape(browser)
            if axe:
                accessible(browser, axe, "the page with people")
            quiet(browser)
            browser.driver.get("about:blank")
            rosterd.stop()
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    daemon.main(main)
