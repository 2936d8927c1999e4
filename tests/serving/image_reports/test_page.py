"""The page of image reports in Chromium: readable, quiet, and sorted and filtered by the keyboard."""

import importlib.resources

import numpy as np
import pytest
from chromium import CHECKS, DESK, KINDS, PHONE, complaints, needs_chromium

from semenet.serving.image_reports.image_report import ImageReport, NetworkReport
from semenet.serving.image_reports.pictures import encode_webp
from semenet.serving.image_reports.reader_description import NetworkCard, ReaderDescription
from semenet.serving.image_reports.report_list import ImageReports

pytestmark = needs_chromium
GREY = encode_webp(np.full((90, 60), 90, np.uint8))
COLOUR = encode_webp(np.full((90, 60, 3), 90, np.uint8))
# Files in the order of the page, with their outcome, prediction and highest probability.
CASES = {
    "b/film 10.png": ("answer", "normal", 0.9),
    "a/film 9.png": ("abstain", "abstain", 0.5),
    "c/<script>alert(1)</script>.png": ("answer", "other_viral", 0.7),
    "side.dcm": ("rejected", "rejected", None),
    "broken.png": ("error", "error", None),
}


def network(title, question, classes):
    return NetworkReport(
        title,
        question,
        "entry:name",
        "the whole image, 60 x 90 pixels",
        (90, 60),
        GREY,
        classes,
        tuple(np.linspace(0.1, 0.9, len(classes)).tolist()),
        confidence=0.7,
        explained=classes[-1],
        heat_map=np.eye(3, dtype=np.float32),
        map_picture=COLOUR,
        map_layer=COLOUR,
        in_lungs=0.2,
        lung_area=0.3,
    )


def report(file, outcome, predicted, highest):
    words = ("The result of the image.", "The reason for it.")
    if highest is None:
        film = {} if outcome == "error" else {"film": GREY, "thumbnail": GREY, "size": (90, 60)}
        return ImageReport(file, outcome, predicted, words, (file,), **film)
    stages = (network("Stage 1", "normal or virus?", ("normal", "virus")),) * 2
    return ImageReport(
        file,
        outcome,
        predicted,
        words,
        (file,),
        probabilities={"normal": highest, "other_viral": 1 - highest},
        facts=(("Lungs", "Found."),),
        cautions=("Stage 1 looked away: by much.",) if outcome == "abstain" else (),
        size=(90, 60),
        film=GREY,
        thumbnail=GREY,
        lungs_outline="M100 100L400 100L400 800Z",
        box=(0.1, 0.1, 0.9, 0.9),
        networks=stages,
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    card = NetworkCard("Network", "one.keras", cautions=("Adults.",))
    reader = ReaderDescription("a single network", (card,))
    reports = tuple(report(file, *case) for file, case in CASES.items())
    return ImageReports(reports, reader, ("file",), ()).save(
        tmp_path_factory.mktemp("page") / "findings.html"
    )


def shown(browser):
    rows = "[...document.querySelectorAll('.row')].filter((row) => row.checkVisibility())"
    return browser.run(f"{rows}.map((row) => row.dataset.name)")


def set_field(browser, name, value, event):
    field = f"document.querySelector('#{name}')"
    browser.run(f"{field}.value = '{value}'; {field}.dispatchEvent(new Event('{event}'))")


def press(browser, key):
    for kind in ("keyDown", "keyUp"):
        text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
        code = {"Enter": 13, "Escape": 27, "ArrowDown": 40}[key]
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text
        )


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_page_is_readable_and_asks_for_nothing(browser, page, width):
    assert complaints(browser.open(page, width), page) == []
    browser.run("document.getElementById('open-all').click()")
    found = browser.run(CHECKS)
    # Thumbnails stand beside the name of their file, so that they have no text of their own.
    found["alt"] = [picture for picture in found["alt"] if 'loading="lazy"' not in picture]
    assert found == {kind: [] for kind in KINDS}
    assert browser.run("document.documentElement.clientWidth") == width


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_axe_finds_no_barrier(browser, page, width):
    browser.open(page, width)
    browser.run("document.getElementById('open-all').click()")
    browser.run((importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    found = browser.run(
        "axe.run().then(({ violations }) => violations.map((each) => each.id + each.nodes[0].html))"
    )
    assert found == []


def test_a_heat_map_is_laid_over_the_film_and_the_window_changes(browser, page):
    browser.open(page, DESK)
    browser.run("document.querySelector('.open').click()")
    set_field(browser, "images .sl-map", "1", "change")
    layers = "[...document.querySelectorAll('.sl-layer')].map((each) => each.checkVisibility())"
    assert browser.run(layers) == [False, True]
    set_field(browser, "images .sl-opacity", "30", "input")
    assert browser.run("document.querySelectorAll('.sl-layer')[1].style.opacity") == "0.3"
    outline = "document.querySelector('.sl-film .sl-outline').checkVisibility()"
    assert browser.run(outline)
    browser.run("document.querySelector('.sl-lines').click()")
    assert not browser.run(outline)
    set_field(browser, "images .sl-window", "100", "input")
    set_field(browser, "images .sl-level", "60", "input")
    # The middle of the window becomes the middle of the grey levels.
    slope, intercept = (
        float(browser.run(f"document.querySelector('feFuncG').getAttribute('{name}')"))
        for name in ("slope", "intercept")
    )
    assert (slope * (60 / 255) + intercept, slope) == pytest.approx((0.5, 2.55))
    browser.run("document.querySelector('.sl-reset').click()")
    assert browser.run("document.querySelector('.sl-grey').style.filter") == ""


def test_images_are_filtered_searched_and_sorted(browser, page):
    browser.open(page, DESK)
    assert shown(browser) == list(CASES)
    browser.run("document.querySelector('[data-filter=\"answer:other_viral\"]').click()")
    assert shown(browser) == ["c/<script>alert(1)</script>.png"]
    browser.run("document.querySelector('[data-filter=\"rejected\"]').click()")
    assert shown(browser) == ["side.dcm"]
    assert browser.run("document.getElementById('status').textContent") == "1 of 5 images shown."
    browser.run("document.querySelector('[data-filter=\"\"]').click()")
    set_field(browser, "search", "FILM", "input")
    assert shown(browser) == ["b/film 10.png", "a/film 9.png"]
    set_field(browser, "search", "", "input")
    set_field(browser, "sort", "name", "change")
    assert shown(browser)[:2] == ["a/film 9.png", "b/film 10.png"]
    set_field(browser, "sort", "doubt", "change")
    assert shown(browser) == ["side.dcm", "broken.png", "a/film 9.png", *list(CASES)[2::-2]]


def test_the_keyboard_moves_opens_and_closes(browser, page):
    browser.open(page, DESK)
    browser.run("document.querySelector('.open').focus()")
    press(browser, "ArrowDown")
    press(browser, "Enter")
    focused = "document.activeElement.closest('.row')"
    assert browser.run(f"{focused}.dataset.name") == "a/film 9.png"
    assert browser.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert browser.run(f"{focused}.querySelectorAll('.sl-stage').length") == 2
    assert browser.run(f"{focused}.querySelector('.sl-caution').textContent.includes('looked away')")
    press(browser, "Escape")
    assert browser.run("document.querySelector('.sl-report')") is None


def test_the_light_switch_and_print(browser, page):
    browser.open(page, DESK)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = browser.run(ground)
    browser.run("document.getElementById('theme').click()")
    assert browser.run(ground) != dark
    browser.run("document.getElementById('open-all').click()")
    assert browser.run(CHECKS)["contrast"] == []
    browser.run("document.getElementById('theme').click()")
    browser.open(page, 718, "print")
    assert browser.run(ground) == "rgb(255, 255, 255)"
    browser.run("document.getElementById('open-all').click()")
    found = browser.run(CHECKS)
    assert (found["overflow"], found["clipped"], found["contrast"]) == ([], [], [])
