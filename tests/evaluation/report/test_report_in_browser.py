"""The report and the audit page in Chromium: on a desktop screen, on a phone and in print."""

import base64
import re
import shutil
import subprocess
import zlib

import pytest
from chromium import (
    CHECKS,
    DESK,
    HEIGHT,
    KINDS,
    PATIENCE,
    PHONE,
    complaints,
    needs_chromium,
)

from semenet.evaluation.measure.calibration import calibrate
from semenet.evaluation.shortcut_audit.classifier_audit import audit
from semenet.evaluation.split_evaluation import evaluate

pytestmark = needs_chromium

# A4 without a margin of 1 cm, in CSS pixels of 1/96 inch.
PAPER_WIDTH, PAPER_HEIGHT = 718, 1047
# Colours of the headline values and of their boxes, by the style sheet.
VALUE, TILE = (11, 83, 148), (245, 247, 249)


@pytest.fixture(scope="module")
def pages(phantoms, classifier_run, unet_run, tmp_path_factory):
    """The report of a calibrated and audited classifier, its audit's page, and a U-Net's report."""
    folder = tmp_path_factory.mktemp("pages")
    run = shutil.copytree(classifier_run, folder / "run")
    calibrate(run, phantoms, "val")
    audit(run, phantoms, "test", out=folder / "audit", resamples=200)
    options = {"by": ["marker"], "audit": folder / "audit", "resamples": 200}
    evaluate(run, phantoms, "test", out=folder / "classifier", **options)
    evaluate(unet_run, phantoms, "test", out=folder / "unet", resamples=200)
    return {
        "classifier": folder / "classifier" / "report.html",
        "unet": folder / "unet" / "report.html",
        "audit": folder / "audit" / "audit.html",
    }


def on_every_page(test):
    return pytest.mark.slow(pytest.mark.parametrize("name", ["classifier", "unet", "audit"])(test))


@on_every_page
def test_the_console_is_empty_and_nothing_is_requested(browser, pages, name):
    assert complaints(browser.open(pages[name], DESK), pages[name]) == []


@on_every_page
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_a_page_is_readable(browser, pages, name, width):
    browser.open(pages[name], width)
    assert browser.run("document.documentElement.clientWidth") == width
    assert browser.run(CHECKS) == {kind: [] for kind in KINDS}


@on_every_page
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_a_screenshot_shows_the_page(browser, pages, name, width):
    browser.open(pages[name], width)
    height = browser.run("document.documentElement.scrollHeight")
    for top in range(0, height, HEIGHT):
        strip = browser.picture(top, min(HEIGHT, height - top), width)
        assert len(strip) < HEIGHT or (strip < 128).any(axis=-1).mean() > 0.002, top
    values = browser.run(
        "[...document.querySelectorAll('.tiles .value')].map((each) => each.getBoundingClientRect().toJSON())"
    )
    assert len(values) == {"classifier": 5, "unet": 4, "audit": 0}[name]
    top = browser.picture(0, 2 * HEIGHT, width)
    for box in values:
        left, upper, right, lower = (round(box[side]) for side in ("left", "top", "right", "bottom"))
        pixels = top[upper:lower, left:right].astype(int)
        assert (abs(pixels - VALUE).max(axis=-1) < 12).mean() > 0.02
        assert (abs(pixels - TILE).max(axis=-1) < 3).mean() > 0.5


@on_every_page
def test_nothing_is_cut_off_in_print(browser, pages, name):
    browser.open(pages[name], PAPER_WIDTH, "print")
    found = browser.run(CHECKS)
    assert {kind: found[kind] for kind in ("overflow", "clipped", "contrast")} == {
        "overflow": [],
        "clipped": [],
        "contrast": [],
    }
    assert browser.run(
        "[...document.querySelectorAll('.scroll')].every((e) => e.scrollWidth <= e.clientWidth)"
    )


@on_every_page
def test_no_printed_page_is_empty(browser, pages, name):
    browser.open(pages[name], PAPER_WIDTH, "print")
    height = browser.run("document.documentElement.scrollHeight")
    content = printed(browser, pages[name])
    sheets = re.findall(rb"/Type /Page\n.*?/Contents (\d+) 0 R", content, re.DOTALL)
    # Some stay partly empty, because pictures and rows are not split.
    assert height / PAPER_HEIGHT - 1 < len(sheets) < 2 * height / PAPER_HEIGHT + 1
    assert len(sheets) > 1
    for number in sheets:
        drawn = re.search(rb"\n%s 0 obj\n.*?stream\n(.*?)endstream" % number, content, re.DOTALL)[1]
        assert zlib.decompress(drawn).count(b"Tj") > 1


@on_every_page
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext, of poppler-utils, is not installed")
def test_print_contains_headings_and_folded_sections(browser, pages, name, tmp_path):
    browser.open(pages[name], PAPER_WIDTH)
    wanted = browser.run(
        "[...document.querySelectorAll('h1, h2, h3, details pre')].map((each) => each.textContent)"
    )
    (tmp_path / "page.pdf").write_bytes(printed(browser, pages[name]))
    done = subprocess.run(
        ["pdftotext", tmp_path / "page.pdf", "-"], stdout=subprocess.PIPE, check=True, timeout=PATIENCE
    )
    words = set(done.stdout.decode().split())
    missing = [text for text in wanted if not set(text.split()) <= words]
    assert missing == []


def printed(browser, path):
    """Returns the page printed as a PDF of A4 pages."""
    browser.open(path, DESK)
    centimetre = 1 / 2.54
    margins = {f"margin{side}": centimetre for side in ("Top", "Bottom", "Left", "Right")}
    paper = {"paperWidth": 21 * centimetre, "paperHeight": 29.7 * centimetre}
    return base64.b64decode(browser.call("Page.printToPDF", printBackground=True, **paper, **margins)["data"])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("overflow", '<p style="width: 2000px">wide</p>'),
        ("clipped", '<p style="width: 50px; overflow: hidden; white-space: nowrap">much too long</p>'),
        ("pictures", '<img alt="broken" src="data:image/png;base64,AAAA">'),
        ("alt", '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">'),
        ("headings", "<h3>a level is skipped</h3>"),
        ("ids", '<p id="a">a</p><p id="a">b</p>'),
        ("labels", '<section aria-labelledby="nowhere">a</section>'),
        ("links", '<a href="#nowhere">a</a>'),
        ("tables", "<table><thead><tr><th>a</th></tr></thead></table>"),
        ("contrast", '<p style="color: #888">3.5 to 1</p>'),
        ("contrast", '<div style="background: #444"><p style="color: #000a">grey on grey</p></div>'),
        ("contrast", '<p style="font-size: 8px">small</p>'),
        ("letters", '<img alt="a plot" src="data:image/svg+xml;base64,{svg}">'),
    ],
)
def test_each_check_detects_its_defect(browser, tmp_path, kind, body):
    plot = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
        '<g id="text_1"><path d="M -9 5 h 20 v 9 z"/></g></svg>'
    )
    body = body.format(svg=base64.b64encode(plot.encode()).decode()) if "{svg}" in body else body
    head = '<!DOCTYPE html><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    (tmp_path / "page.html").write_text(f"{head}<h1>A page</h1>{body}")
    browser.open(tmp_path / "page.html", PHONE)
    assert [name for name, found in browser.run(CHECKS).items() if found] == [kind]


@pytest.mark.parametrize(
    "body",
    [
        "<script>console.log('a word')</script>",
        "<script>undefined.at</script>",
        '<img src="missing.png">',
    ],
)
def test_console_messages_and_requests_are_detected(browser, tmp_path, body):
    path = tmp_path / "page.html"
    path.write_text(f'<!DOCTYPE html><link rel="icon" href="data:,">{body}')
    assert complaints(browser.open(path, DESK), path)
