"""The page in a browser: what its script does with tables, cards, figures and contents."""

from __future__ import annotations

import pytest

from retbench.report.report import Report
from tests.report.render.html.conftest import Page

Keys = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: it drives the browser").Keys

MINUS = "\u2212"
ROWS = """
const rows = [...document.querySelectorAll('#table-1 .row')];
return rows.map((it) => it.closest('tbody').querySelector('.block').textContent + it.textContent)
""".strip()


def numbers(page: Page, column: int) -> list[float]:
    """Return the numbers of a column of the first table, as printed, from the top; NaN for a dash."""
    printed = page.texts(f"#table-1 .row td:nth-of-type({column}) .number")
    return [float(text.replace(MINUS, "-").replace("\u2013", "nan")) for text in printed]


def labels(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.texts("#table-1 .row th")]


def test_a_click_on_a_header_sorts_up_then_down_then_as_before(page: Page) -> None:
    before = numbers(page, 2)
    upper, lower = before[:13], before[13:]
    page.click("#table-1 .sort", 2)
    assert numbers(page, 2) == [*sorted(upper), *sorted(lower)] != before
    page.click("#table-1 .sort", 2)
    assert numbers(page, 2) == [*sorted(upper, reverse=True), *sorted(lower, reverse=True)]
    assert page.one("#table-1 [aria-sort]").get_attribute("aria-sort") == "descending"
    page.click("#table-1 .sort", 2)
    assert numbers(page, 2) == before
    assert not page.all("[aria-sort]")


def test_what_has_no_number_stays_last_in_both_directions(page: Page) -> None:
    for expected in ("ascending", "descending"):
        page.click("#table-1 .sort", 4)
        found = numbers(page, 4)
        assert page.one("#table-1 .state").text == f"sorted by scenes DPH, {expected}"
        assert [value != value for value in found] == ([False] * 11 + [True] * 2) * 2


def test_sorted_rows_stay_under_the_heading_of_their_block_and_a_reset_puts_them_back(page: Page) -> None:
    blocks = "return [...document.querySelectorAll('#table-1 .grid tbody')].map((it) => it.innerText.split(/\\s+/)[0])"
    before = labels(page)
    page.click("#table-1 .sort", 1)
    found = labels(page)
    assert page.texts("#table-1 .block") == page.run(blocks) == ["MAP", "T-MAP"]
    assert (sorted(found[:13]), sorted(found[13:])) == (sorted(before[:13]), sorted(before[13:]))
    assert found != before
    page.click("#table-1 .reset")
    assert labels(page) == before


def test_a_table_without_blocks_is_sorted_as_a_whole(page: Page) -> None:
    labels = ["<script>alert('label')</script>", "plain & simple"]
    page.click("#table-2 .sort", 1)
    assert page.texts("#table-2 .row th") == labels[::-1]
    page.click("#table-2 .sort", 1)
    assert page.texts("#table-2 .row th") == labels


def test_the_keyboard_sorts_by_labels_too(page: Page) -> None:
    page.run("document.querySelector('#table-1 .sort').focus()")
    page.press(Keys.ENTER)
    found = labels(page)
    assert found == sorted(found[:13], key=str.lower) * 2


@pytest.mark.parametrize(
    ("wanted", "kept", "blocks"),
    [("RetPur-D", 2, ["MAP", "T-MAP"]), ("t-map", 13, ["T-MAP"]), ("99.98", 1, ["MAP"]), ("no such thing", 0, [])],
)
def test_a_filter_keeps_the_rows_that_hold_the_text(page: Page, wanted: str, kept: int, blocks: list[str]) -> None:
    held = [row for row in page.run(ROWS) if wanted.lower() in row.lower()]
    page.one("#table-1 .find input").send_keys(wanted)
    assert page.run(f"{ROWS}.filter((text, at) => !rows[at].hidden)") == held
    assert len(held) == kept == len(page.texts("#table-1 .row"))
    assert page.texts("#table-1 .block") == blocks
    assert page.one("#table-1 .state").text == f"{kept} of 26 rows"


def test_a_hyphen_in_a_filter_finds_a_minus(page: Page) -> None:
    page.one("#table-2 .find input").send_keys("-3.12")
    assert page.texts("#table-2 .row th") == ["plain & simple"]


def test_a_column_is_hidden_with_its_header_and_a_reset_brings_it_back(page: Page) -> None:
    page.click("#table-1 .menu summary")
    for box in (2, 3):
        page.click("#table-1 .menu input", box)
    assert page.texts("#table-1 thead th") == ["Row", "digits", "DPSH", "DPH"]
    assert len([cell for cell in page.all("#table-1 .row:nth-of-type(2) td") if cell.is_displayed()]) == 2 * 2
    assert page.one("#table-1 .state").text == "hidden: scenes DPSH, scenes DPH"
    page.press(Keys.ESCAPE)
    page.click("#table-1 .reset")
    assert page.texts("#table-1 thead th") == ["Row", "digits", "scenes", "DPSH", "DPH", "DPSH", "DPH"]
    assert page.one("#table-1 .state").text == ""


def test_a_group_of_which_one_column_is_hidden_stands_over_the_other(page: Page) -> None:
    page.click("#table-1 .menu summary")
    page.click("#table-1 .menu input", 0)
    group, column = (page.one(f"#table-1 thead {css}").rect for css in (".group", "[data-first='1'][data-width='1']"))
    assert (group["x"], group["width"]) == (column["x"], column["width"])


def carded(page: Page) -> dict[str, str]:
    """Return title and lines of the card over a number; empty where there is none."""
    if not page.one("#card").is_displayed():
        return {}
    lines = zip(page.texts("#card dt"), page.texts("#card dd"), strict=True)
    return {"": page.one("#card p").text, **dict(lines)}


def test_the_pointer_opens_the_card_of_the_number_under_it(page: Page, report: Report) -> None:
    cells, value = page.all("#table-1 td"), report.tables[0].rows[3].values[1]
    page.point_at(cells[4 * 3 + 1])
    card = carded(page)
    assert card[""] == "MAP DDPM-P2P, digits DPH"
    assert dict(value.details).items() <= card.items()
    assert cells[4 * 3 + 1].get_attribute("aria-describedby") == "card"
    page.point_at(page.one("#card dd"))
    assert carded(page) == card
    page.point_at(page.one("h1"))
    assert carded(page) == {}


def test_the_keyboard_walks_from_card_to_card(page: Page, report: Report) -> None:
    page.run("document.querySelector('#table-1 td').focus()")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert carded(page)["key"] == dict(report.tables[0].rows[1].values[1].details)["key"]
    page.press(Keys.ESCAPE)
    assert carded(page) == {}
    page.press(Keys.ARROW_LEFT)
    assert carded(page)["key"] == dict(report.tables[0].rows[1].values[0].details)["key"]


def test_markup_in_a_card_is_text(page: Page) -> None:
    page.point_at(page.all("#table-2 td")[0])
    assert carded(page)['"quoted" & <b>'] == "</script><script>alert(1)</script>"


def test_an_exhibit_shows_its_pictures_once_it_is_opened(page: Page) -> None:
    pictures = "[...document.querySelectorAll('.exhibit')[0].querySelectorAll('img')]"
    assert page.run(f"return {pictures}.filter((it) => it.hasAttribute('src')).length") == 0
    page.click(".exhibit > summary")
    page.wait(f"{pictures}.length === 34 && {pictures}.every((it) => it.naturalWidth === 32)")
    assert page.texts(".exhibit h4")[1].startswith("under attack")
    assert page.run("return [...document.querySelectorAll('.exhibit')[1].querySelectorAll('[src]')].length") == 0


def test_a_figure_opens_large_and_escape_closes_it(page: Page, report: Report) -> None:
    small = page.one(".zoom img").size["width"]
    page.click(".zoom")
    page.wait("document.querySelector('#large img').naturalWidth > 0")
    assert page.one("#large img").size["width"] > 1.5 * small
    assert page.one("#large p").text == report.pictures[0].title
    page.press(Keys.ESCAPE)
    page.wait("!document.querySelector('#large').open")


def paper(page: Page) -> str:
    color: str = page.run("return getComputedStyle(document.body).backgroundColor")
    return color


def test_the_theme_follows_the_system_until_it_is_chosen_and_is_remembered(page: Page) -> None:
    light = paper(page)
    page.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = paper(page)
    assert light != dark
    page.click(".theme")
    assert (paper(page), page.one(".theme").text) == (light, "Dark theme")
    page.emulate("setEmulatedMedia", features=[])
    page.click(".theme")
    page.driver.refresh()
    assert (paper(page), page.one(".theme").text) == (dark, "Light theme")


def test_a_phone_scrolls_tables_and_not_the_page(page: Page) -> None:
    page.emulate("setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=2, mobile=True)
    page.run("document.querySelectorAll('details').forEach((it) => (it.open = !it.matches('.menu')))")
    page.run("document.querySelectorAll('#table-1 td')[9].click()")
    assert page.one("#card").is_displayed()
    assert page.run("return [document.documentElement.scrollWidth, innerWidth]") == [360, 360]
    assert page.run("const it = document.querySelector('#table-1 .scroll'); return it.scrollWidth > it.clientWidth")
    page.run("document.querySelector('#table-1 .scroll').scrollLeft = 200")
    first = page.run("return document.querySelector('#table-1 .row th').getBoundingClientRect().left")
    assert first == page.run("return document.querySelector('#table-1 .scroll').getBoundingClientRect().left")


def test_contents_lead_to_the_sections(page: Page) -> None:
    assert page.texts("nav li") == [*page.texts(".sheet h2"), "Figures", "Gallery", "Provenance"]
    page.one("nav a[href='#gallery']").click()
    page.wait("document.querySelector('nav [aria-current]')?.hash === '#gallery'")
