"""The page of `semenet serve` in Chromium, as a person uses it: by mouse, by keyboard, on a phone."""

import base64
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from chromium import CHROMIUM, needs_chromium
from dicom_reference import written
from page_server import serving

from semenet.data.phantom.frontal import draw_radiograph

axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
playwright_api = pytest.importorskip("playwright.sync_api")
pytestmark = needs_chromium
# Milliseconds.
PATIENCE = 60_000
TOKEN = "a-token-of-the-test-1234"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
DROP = """async ([names, contents]) => {
  const data = new DataTransfer();
  for (const [at, name] of names.entries()) {
    const bytes = Uint8Array.from(atob(contents[at]), (each) => each.charCodeAt(0));
    data.items.add(new File([bytes], name, { type: name.endsWith(".png") ? "image/png" : "" }));
  }
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def address(cascade_model):
    with serving(cascade_model) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    with playwright_api.sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=shutil.which(CHROMIUM) or CHROMIUM, args=options)
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two films, a DICOM file, a photograph and a broken file, by their names."""
    folder = tmp_path_factory.mktemp("files")
    films = [draw_radiograph("normal", size=256, seed=number).image for number in range(2)]
    for number, film in enumerate(films):
        cv2.imwrite(str(folder / f"film {number}.png"), film)
    (folder / "film.dcm").write_bytes(written(films[0], BitsStored=8))
    photograph = np.zeros((120, 120, 3), np.uint8)
    photograph[:, :60] = (20, 160, 240)
    cv2.imwrite(str(folder / "photograph.png"), photograph)
    (folder / "<b>broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno image")
    return {path.name: path for path in folder.iterdir()}


class Visit:
    """A visit of the page: what its user sees, and what they should never see."""

    def __init__(self, context, address):
        self.address, self.complaints = address, []
        self.page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._check)
        self.page.goto(address)

    def _check(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"requests {request.url}")

    def give(self, *paths):
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Choose files").click()
        chooser.value.set_files(paths)

    def outcomes(self):
        """Waits until every file has its answer; returns the outcomes by the file's name."""
        # Not by a function, which Playwright compiles from a string, as the page's policy forbids.
        self.page.locator(".row").first.wait_for()
        playwright_api.expect(self.page.locator("[aria-busy]")).to_have_count(0, timeout=PATIENCE)
        return self.page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('.row')].map((row) => "
            "[row.dataset.name, row.dataset.outcome]))"
        )


@pytest.fixture
def visit(chromium, address):
    with chromium.new_context(viewport=DESK) as context:
        visited = Visit(context, address)
        yield visited
        assert visited.complaints == []


def violations(page):
    found = axe_playwright.Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found]


def test_one_file_by_click_opens_its_report(visit, files):
    visit.give(files["film 0.png"])
    (outcome,) = visit.outcomes().values()
    assert outcome in ("answer", "abstain")
    page = visit.page
    report = page.locator(".sl-report")
    assert report.locator("h3").all_inner_texts()[0] == "Both stages together"
    assert report.locator(".sl-stage").count() == 2
    assert report.get_by_text("Accepted: an upright frontal").is_visible()
    assert "Research use only" in report.inner_text()
    # The film is a PNG without loss.
    sent = report.locator(".sl-grey").get_attribute("src").removeprefix("data:image/png;base64,")
    film = cv2.imdecode(np.frombuffer(base64.b64decode(sent), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(film, cv2.imread(str(files["film 0.png"]), cv2.IMREAD_GRAYSCALE))
    assert report.evaluate("(each) => [...each.querySelectorAll('img')].every((img) => img.naturalWidth)")


def test_several_by_drop_with_a_photograph_and_a_broken_file(visit, files):
    names = list(files)
    contents = [base64.b64encode(files[name].read_bytes()).decode() for name in names]
    visit.page.wait_for_selector("#drop:visible")
    visit.page.evaluate(DROP, [names, contents])
    outcomes = visit.outcomes()
    assert outcomes["photograph.png"] == "rejected"
    assert outcomes["<b>broken.png"] == "error"
    assert outcomes["film.dcm"] == outcomes["film 0.png"]
    broken = visit.page.locator(".row[data-outcome=error]")
    assert "<b>broken.png" in broken.locator(".why").inner_text()
    visit.page.locator("[data-filter=rejected]").click()
    assert visit.page.locator(".row:visible .badge").inner_text() == "⊘ Not accepted"
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Download results").click()
    found = json.loads(download.value.path().read_text())
    assert {each["file"]: each["outcome"] for each in found} == outcomes
    film = next(each for each in found if each["file"] == "film.dcm")
    assert sum(film["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert "pictures" not in film


def test_ten_at_once_on_a_phone(chromium, address, files, tmp_path):
    copies = [shutil.copy(files["film 1.png"], tmp_path / f"{number}.png") for number in range(10)]
    with chromium.new_context(viewport=PHONE, has_touch=True, is_mobile=True) as context:
        visit = Visit(context, address)
        visit.give(*copies)
        outcomes = visit.outcomes()
        assert list(outcomes) == [f"{number}.png" for number in range(10)]
        assert visit.page.locator("#status").inner_text() == "10 of 10 images read."
        visit.page.locator(".open").first.click()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        assert (
            visit.page.evaluate(
                "[...document.querySelectorAll('body *')].filter((each) => each.checkVisibility() && "
                "each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML)"
            )
            == []
        )
        assert violations(visit.page) == []
        assert visit.complaints == []


def test_window_level_map_and_opacity(visit, files):
    visit.give(files["film 0.png"])
    visit.outcomes()
    page = visit.page
    box = page.locator(".sl-stack").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - box["width"] / 4, middle[1] + box["height"] / 10)
    page.mouse.up()
    assert 180 < float(page.locator(".sl-window").input_value()) < 200
    assert float(page.locator(".sl-level").input_value()) > 140
    assert page.evaluate("document.querySelector('.sl-grey').style.filter").startswith("url(")
    slope = float(page.locator("feFuncR").get_attribute("slope"))
    assert slope == pytest.approx(255 / float(page.locator(".sl-window").input_value()))
    page.get_by_role("button", name="Reset").click()
    assert page.evaluate("document.querySelector('.sl-grey').style.filter") == ""
    # By the keyboard.
    page.get_by_label("Level").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("Level").input_value() == "129"
    page.get_by_label("Heat map").select_option(index=2)
    assert page.locator(".sl-layer:visible").count() == 1
    page.get_by_label("Opacity").fill("25")
    assert page.evaluate("document.querySelectorAll('.sl-layer')[1].style.opacity") == "0.25"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_accessibility_and_the_keyboard_alone(visit, files, theme):
    page = visit.page
    if theme == "light":
        page.locator("#theme").press("Enter")
    visit.give(files["film 0.png"], files["photograph.png"])
    visit.outcomes()
    page.locator(".open").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('.row').dataset.name") == "photograph.png"
    assert page.locator(".is-open .sl-headline").inner_text() == "⊘ Not accepted"
    page.get_by_role("button", name="Open all").press("Enter")
    page.get_by_label("Heat map").first.select_option(index=1)
    assert violations(page) == []


def test_the_token_is_asked_for_and_kept_in_memory(chromium, cascade_model, files):
    with serving(cascade_model, TOKEN) as address, chromium.new_context() as context:
        visit = Visit(context, address)
        field = visit.page.get_by_label("This server asks for its token.")
        field.fill("another-token-of-the-test")
        field.press("Enter")
        visit.page.get_by_text("This is not the server's token.").wait_for()
        field.fill(TOKEN)
        field.press("Enter")
        visit.give(files["film 0.png"])
        assert set(visit.outcomes().values()) <= {"answer", "abstain"}
        stored = (
            "JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie])"
        )
        assert TOKEN not in visit.page.evaluate(stored)
        # Chromium reports each status 401.
        assert all("401" in complaint for complaint in visit.complaints)


def test_a_file_beyond_the_limit_fails_alone(chromium, cascade_model, files):
    with serving(cascade_model, max_request_bytes=30_000) as address, chromium.new_context() as context:
        visit = Visit(context, address)
        visit.give(files["film 0.png"], files["photograph.png"])
        assert visit.outcomes() == {"film 0.png": "error", "photograph.png": "rejected"}
        assert "takes at most 30,000" in visit.page.locator(".row[data-outcome=error]").inner_text()
