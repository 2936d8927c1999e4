"""Chromium, controlled by tests: opens a page, runs scripts in it and takes pictures of it."""

import base64
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("SEMENET_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is installed, and SEMENET_CHROMIUM is not set"
)

DESK, PHONE, HEIGHT = 1280, 390, 900
PATIENCE = 60

# Each check returns a list of descriptions of defects.
CHECKS = r"""
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const named = (element) => element.outerHTML.replace(/data:[^"]+/g, "data:").slice(0, 120);
  const found = {};
  const sides = (element) => element.getBoundingClientRect();
  const width = document.documentElement.clientWidth;
  const overflow = (element) => getComputedStyle(element).overflowX;
  const scrolls = (element) => element.closest(".scroll") && overflow(element.closest(".scroll")) === "auto";
  all("details").forEach((each) => { each.open = true; });

  found.overflow = all("body *").filter((each) => each.checkVisibility() && !scrolls(each.parentElement)
    && (sides(each).right > width + 1 || sides(each).left < -1)).map(named);
  if (document.documentElement.scrollWidth > width) found.overflow.push("the page");
  found.clipped = all("body *").filter((each) => ["hidden", "clip"].includes(overflow(each))
    && each.scrollWidth > each.clientWidth + 1 && each.tagName !== "IMG").map(named);

  found.pictures = all("img").filter((each) => !each.complete || !each.naturalWidth).map(named);
  found.alt = all("img").filter((each) => !each.alt.trim()).map(named);

  let level = 0;
  found.headings = [];
  for (const each of all("h1, h2, h3, h4, h5, h6")) {
    if (Number(each.tagName[1]) > level + 1 || !each.textContent.trim()) found.headings.push(named(each));
    level = Number(each.tagName[1]);
  }
  if (all("h1").length !== 1) found.headings.push(`${all("h1").length} of h1`);

  const ids = all("[id]").map((each) => each.id);
  found.ids = ids.filter((id, place) => ids.indexOf(id) !== place || /\s/.test(id));
  const missing = (id) => !document.getElementById(id)?.textContent.trim();
  found.labels = ["aria-labelledby", "aria-describedby"].flatMap((name) =>
    all(`[${name}]`).flatMap((each) => each.getAttribute(name).trim().split(/\s+/).filter(missing)));
  found.links = all("a[href^='#']").map((each) => each.hash.slice(1)).filter(missing);
  found.tables = all("table").filter((table) => all("th", table).some((each) => !each.scope)
    || all("thead th", table).length !== table.rows[0].cells.length
    || all("tbody tr", table).some((row) => !row.querySelector("th[scope=row]"))
    || all("tr", table).some((row) => row.cells.length !== table.rows[0].cells.length)).map(named);

  const rgba = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
    return [red, green, blue, alpha];
  };
  const over = (top, below) => [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3]));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
  };
  const luminance = (colour) => colour.map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  found.contrast = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const smallest = matchMedia("print").matches ? 9 : 12;
  let texts = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim();
    const element = walker.currentNode.parentElement;
    if (!text || ["SCRIPT", "STYLE"].includes(element.tagName) || !element.checkVisibility()) continue;
    texts += 1;
    const style = getComputedStyle(element);
    const background = behind(element);
    const shades = [over(rgba(style.color), background), background].map(luminance);
    const ratio = (Math.max(...shades) + 0.05) / (Math.min(...shades) + 0.05);
    const size = parseFloat(style.fontSize);
    // WCAG's large text: 18 points, or 14 bold ones.
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.contrast.push(`${ratio.toFixed(2)} to 1: ${text.slice(0, 40)}`);
    if (size < smallest) found.contrast.push(`${size} pixels: ${text.slice(0, 40)}`);
  }
  if (!texts) found.contrast.push("no text");

  // matplotlib draws letters as paths, in groups of their own.
  found.letters = all("img[src^='data:image/svg']").flatMap((each) => {
    const holder = document.body.appendChild(document.createElement("div"));
    holder.innerHTML = atob(each.src.split(",")[1]).replace(/^[^]*?<svg/, "<svg");
    const edge = holder.firstElementChild.getBoundingClientRect();
    const groups = all("g[id^=text_]", holder);
    const cut = groups.filter((group) => {
      const box = group.getBoundingClientRect();
      return box.left < edge.left - 1 || box.right > edge.right + 1
        || box.top < edge.top - 1 || box.bottom > edge.bottom + 1;
    });
    holder.remove();
    return groups.length ? cut.map((group) => `${group.id}: ${named(each)}`) : [`no text: ${named(each)}`];
  });
  return found;
})()
"""
KINDS = (
    *("overflow", "clipped", "pictures", "alt", "headings", "ids", "labels", "links", "tables", "contrast"),
    "letters",
)


class Browser:
    """A headless Chromium, controlled by the DevTools protocol through a pipe.

    https://chromedevtools.github.io/devtools-protocol. A real window cannot be as narrow as a phone, but an
    emulated device can.
    """

    # The browser reads from file descriptor 3 and writes to 4. Both may be in use, so copy via 10 and up.
    LAUNCH = (
        "import fcntl, os, sys; "
        "read, write = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]); "
        "os.dup2(read, 3); os.dup2(write, 4); os.execv(sys.argv[3], sys.argv[3:])"
    )

    def __init__(self, folder):
        self.log = folder / "stderr.txt"
        its_input, self._input = os.pipe()
        self._output, its_output = os.pipe()
        options = ["--headless", "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}"]
        options += ["--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        launch = [sys.executable, "-c", self.LAUNCH, str(its_input), str(its_output)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*launch, shutil.which(CHROMIUM) or CHROMIUM, *options, "about:blank"],
                pass_fds=(its_input, its_output),
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        os.close(its_input)
        os.close(its_output)
        self._pending, self._count, self._session, self.events = b"", 0, None, []

    def attach(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Sends a command and returns its result; keeps the events that arrive before it."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._input, json.dumps(command).encode() + b"\0")
        while (message := self._receive()).get("id") != self._count:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def _receive(self):
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._pending:
            ready, *_ = select.select([self._output], [], [], max(0, until - time.monotonic()))
            content = os.read(self._output, 2**20) if ready else b""
            if not content:
                said = self.log.read_text(errors="replace")[-2000:]
                pytest.fail(f"{CHROMIUM} {'ended' if ready else 'hangs'}: {said}")
            self._pending += content
        message, self._pending = self._pending.split(b"\0", 1)
        return json.loads(message)

    def open(self, path, width, medium=""):
        """Opens a file for a screen or the given medium; returns the events until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=HEIGHT,
            deviceScaleFactor=1,
            mobile=width == PHONE,
        )
        self.call("Emulation.setEmulatedMedia", media=medium)
        self.events.clear()
        self.call("Page.navigate", url=pathlib.Path(path).as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())
        # Remaining console messages arrive within two more frames.
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return list(self.events)

    def run(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, top, height, width):
        """Returns a part of the page as uint8 RGB `(height, width, 3)`."""
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        return cv2.imdecode(np.frombuffer(base64.b64decode(taken), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    def end(self):
        """Stops the browser and its child processes, which form a process group of their own."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
        os.close(self._input)
        os.close(self._output)


def complaints(events, path):
    """Returns a page's console messages and its requests for other resources."""
    found = []
    for event in events:
        method, parameters = event.get("method"), event.get("params", {})
        if method in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            found.append(json.dumps(parameters)[:300])
        if method == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith("data:") and url != path.as_uri():
                found.append(f"requests {url}")
    return found
