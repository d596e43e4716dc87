"""A report with everything that a page can show, including names that are markup, and its page in a browser."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from retbench.metrics import Interval
from retbench.report.figures.picture import Picture
from retbench.report.gallery.exhibit import Exhibit, Gallery, Hit, Ranking
from retbench.report.render.html import as_html
from retbench.report.report import Report
from retbench.report.tables.table import CostLine, PublishedValue, Table, TableRow, Value
from retbench.report.tables.unit import Unit
from retbench.results import TieRange

if TYPE_CHECKING:
    from selenium.webdriver import ActionChains, Chrome
    from selenium.webdriver.remote.webelement import WebElement

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1440,1000")

ATTACKS, DEFENSES = ("P2P", "DHTA", "ProS-GAN"), ("", "ATRDH-", "DDPM-", "RetPur-")
LABELS = ("original", *(f"{defense}{attack}" for attack in ATTACKS for defense in DEFENSES))
COLUMNS = (("digits", "DPSH"), ("digits", "DPH"), ("scenes", "DPSH"), ("scenes", "DPH"))
MAPS = (0.9998, 0.1416, 0.7342, 0.9770, 0.9769, 0.1407, 0.7253, 0.9770, 0.9771, 0.1095, 0.7361, 0.9106, 0.9100)
NOTE = ("a", "skipped: ATRDH has no weights for `scenes`; run `retbench weights prepare`")
DAGGER = ("\u2020", "failed: out of memory at a micro-batch of 1")
CAVEAT = ("b", "2 of 100 queries have no relevant answer and are left out")
DESCRIPTION = (
    "Image to image: how targeted attacks on deep hashing fare against diffusion purification and adversarial "
    "training, in the layouts of Table 1 and Table 7 of RetPur. Without a profile it runs on embedded datasets "
    "of 32-pixel images, in minutes on two cores; with `--profile paper` on the paper's three datasets."
)
CAPTION = (
    "Percent, with confidence intervals over queries. Rows: \u201coriginal\u201d with clean queries, an attack's name "
    "with attacked queries, defense-attack with attacked queries behind that defense. A targeted attack is strong if "
    "T-MAP is high."
)


def measured(line: int, column: int, targeted: bool) -> Value:
    """Return the number of a row and a column, with its details."""
    true = min(max(MAPS[line] - 0.03 * column * (0.4 + line % 3), 0.0), 1.0)
    value = (
        round(1.08 - true if targeted else true, 4) if line else round(0.0991 + 0.09 * column if targeted else true, 4)
    )
    value = min(value, 0.9999)
    spread = 0.2 * value * (1 - value) + 0.0002
    details = (
        ("protocol", "100 queries; MAP rule full, tie-breaking stable; target rule zero-overlap, seed 0"),
        ("threat", "targeted, oblivious, linf 32/255"),
        ("seconds", f"attack {0.2 + line / 50:.2f}, purify {0.05 * line:.2f} per image"),
        ("key", f"{line:02x}{column:02x}{int(targeted):02x}9f3a71c0de5b"),
    )
    interval = Interval(value, max(value - spread, 0.0), min(value + spread, 1.0))
    return Value(interval, details=details)


def decorate(value: Value, line: int, column: int) -> Value:
    """Return a value with the published number, ties, emphasis or mark of its position in the sample."""
    if line in (10, 6) and column == 3:
        return Value(None, "a" if line == 10 else "\u2020", details=value.details[:2])
    if line in (1, 4, 9) and column < 3:
        verdict, difference = (("agrees", 0.42), ("differs", -6.31), ("not comparable", None))[column]
        value = value._replace(
            published=PublishedValue((61.09,) if column < 2 else (41.2, 61.09), difference, verdict, "RetPur, Table 1")
        )
    if line == 2 and column == 1:
        value = value._replace(tie_range=TieRange(0.1204, 0.8133), notes=("b",))
    return value._replace(emphasis={3: "tied", 4: "tied", 7: "tied", 8: "best", 11: "best"}.get(line, ""))


def lines(block: str, targeted: bool) -> tuple[TableRow, ...]:
    return tuple(
        TableRow(block, label, tuple(decorate(measured(line, at, targeted), line, at) for at in range(len(COLUMNS))))
        for line, label in enumerate(LABELS)
    )


def attacked() -> Table:
    costs = tuple(
        CostLine(label, (0.21, 0.34) if at else None, (0.0123, 1.4) if "-" in label else None, (2.0**29, 2.0**31))
        for at, label in enumerate(LABELS)
    )
    provenance = (
        ("Protocol", "100 queries, image to image; MAP rule full, tie-breaking stable."),
        ("Store", "key 00009f3a71c0de5b"),
    )
    rows = (*lines("MAP", targeted=False), *lines("T-MAP", targeted=True))
    title = "Attacked queries, image to image (layout of RetPur, Table 1)"
    return Table(title, COLUMNS, rows, (NOTE, DAGGER, CAVEAT), CAPTION, None, costs, provenance)


def hostile() -> Table:
    """Return a table without blocks, whose names are markup, with negative numbers, gray levels and an empty cell."""
    number = Value(
        Interval(-0.00001, -0.0214, 0.01), details=(('"quoted" & <b>', "</script><script>alert(1)</script>"),)
    )
    gray = Value(Interval(0.1, 0.05, 0.2), unit=Unit.GRAY)
    rows = (
        TableRow("", "<script>alert('label')</script>", (number, gray)),
        TableRow("", "plain & simple", (Value(Interval(-0.0312, -0.05, -0.01)), Value(None, "missing"))),
    )
    return Table('A <em>title</em> & "quotes"', (("<i>gain</i>",), ("RMS (gray levels)",)), rows, (), "Less is `<b>`.")


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def thumbnail(seed: int) -> np.ndarray:
    """Return an image of 32 x 32 pixels: a few discs over a gradient."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    low, high = draw.integers(20, 120, 3), draw.integers(120, 250, 3)
    pixels = low + (high - low) * ((rows * draw.random() + columns * draw.random()) / 62)[..., None]
    for _ in range(3):
        middle, radius = draw.integers(4, 28, 2), draw.integers(3, 9)
        pixels[(rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2] = draw.integers(0, 255, 3)
    return pixels.astype(np.uint8)


def chart(seed: int) -> bytes:
    """Return a drawing of 720 x 480 pixels: axes and two lines."""
    paper = Image.new("RGB", (720, 480), "white")
    pen, draw = ImageDraw.Draw(paper), np.random.default_rng(seed)
    pen.line([(60, 20), (60, 430), (700, 430)], fill="#404040", width=2)
    for color in ("#0072B2", "#D55E00"):
        heights = 400 - np.cumsum(draw.integers(0, 60, 8))
        pen.line([(80 + 80 * at, int(y)) for at, y in enumerate(heights)], fill=color, width=4, joint="curve")
    return png(np.asarray(paper))


def gallery(exhibits: int = 4, thumbnails: int = 40) -> Gallery:
    first = 4 * exhibits
    images = [thumbnail(seed) for seed in range(first + thumbnails)]
    for at in range(0, first, 4):
        noise = np.random.default_rng(at).integers(-16, 17, (32, 32, 3))
        images[at + 1] = (128 + 7 * noise).clip(0, 255).astype(np.uint8)
        images[at + 2] = (images[at] + noise).clip(0, 255).astype(np.uint8)
        images[at + 3] = images[at]
    shown = tuple(exhibit(at, 4 * at, first, thumbnails, purified=at % 2 == 0) for at in range(exhibits))
    return Gallery(shown, tuple(map(png, images)))


def exhibit(at: int, clean: int, first: int, thumbnails: int, *, purified: bool) -> Exhibit:
    kinds = (
        ("before the attack", "under attack", "behind RetPur") if purified else ("before the attack", "under attack")
    )
    rankings = tuple(
        Ranking(
            label,
            (0.9961, 0.1204, 0.9712)[row],
            (0.1022, 0.9930, 0.1107)[row],
            tuple(
                Hit(
                    first + (7 * at + 10 * row + hit) % thumbnails,
                    hit // 3,
                    (row != 1) ^ (hit == 8),
                    row == 1 or hit > 7,
                )
                for hit in range(10)
            ),
        )
        for row, label in enumerate(kinds)
    )
    which, change = (("median change", -0.8757), ("largest change", -0.9911))[at % 2]
    defense, after = ("RetPur", clean + 3) if purified else ("", None)
    return Exhibit(
        "digits", "DPSH", "P2P", defense, f"query-{at:04d}", which, change, "zero", "eight, three", 12.0,
        clean, clean + 1, clean + 2, after, rankings,
    )  # fmt: skip


def sample() -> Report:
    pictures = tuple(
        Picture(f"figure-{at}", title, f"{title}: RetPur and ATRDH against P2P", chart(at), b"%PDF")
        for at, title in enumerate(
            ("MAP over purify step", "Precision & recall, digits", "Distances <clean>", "Trade-off")
        )
    )
    provenance = (
        (
            "Threat",
            "p2p on digits: targeted, oblivious, linf 32/255; prosgan on scenes: targeted, oblivious, unbounded",
        ),
        ("Computed on", "cpu (x86_64, 2 threads), torch 2.13.0; networks in bf16 and float32"),
        ("Versions", "retbench 0.1.0, retbench-attacks 0.1.0, retbench-defenses 0.1.0"),
    )
    return Report("unimodal", DESCRIPTION, (attacked(), hostile()), pictures, gallery(), provenance)


@pytest.fixture(scope="session")
def report() -> Report:
    return sample()


class Page:
    """The sample's page in headless Chromium, driven by selenium."""

    def __init__(self, driver: Chrome, address: str) -> None:
        self.driver, self.address = driver, address
        driver.get_log("browser"), driver.get_log("performance")
        driver.get(address)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, css: str) -> WebElement:
        return self.all(css)[0]

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", css)

    def texts(self, css: str) -> list[str]:
        """Return the texts of the visible elements."""
        shown = "[...document.querySelectorAll(arguments[0])].filter((it) => it.checkVisibility())"
        texts: list[str] = self.run(f"return {shown}.map((it) => it.innerText.trim())", css)
        return texts

    def click(self, css: str, at: int = 0) -> None:
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", self.all(css)[at])
        self.all(css)[at].click()

    def point_at(self, element: WebElement) -> None:
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        self._actions().move_to_element(element).perform()

    def press(self, *keys: str) -> None:
        self._actions().send_keys(*keys).perform()

    def _actions(self) -> ActionChains:
        from selenium.webdriver import ActionChains

        return ActionChains(self.driver)

    def wait(self, script: str) -> None:
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 5, 0.02).until(lambda _: self.run(f"return Boolean({script})"), script)

    def emulate(self, command: str, **parameters: object) -> None:
        self.driver.execute_cdp_cmd(f"Emulation.{command}", parameters)

    def requested(self) -> list[str]:
        """Return the addresses that the page requested since it was opened, without the browser's own requests."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [it["params"] for it in messages if it["method"] == "Network.requestWillBeSent"]
        return [it["request"]["url"] for it in sent if it["documentURL"].startswith(self.address)]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("chromium or chromedriver is not on the path")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with selenium.Chrome(options, selenium.ChromeService(driver)) as opened:
        yield opened


@pytest.fixture(scope="session")
def address(report: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(as_html(report), "utf-8")
    return path.as_uri()


@pytest.fixture
def page(driver: Chrome, address: str) -> Iterator[Page]:
    """The page; whatever a test does, the page must log nothing to the console and request no other address."""
    page = Page(driver, address)
    yield page
    page.run("localStorage.clear()")
    page.emulate("clearDeviceMetricsOverride")
    page.emulate("setEmulatedMedia", media="", features=[])
    assert driver.get_log("browser") == []
    requested = page.requested()
    assert address in requested
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
