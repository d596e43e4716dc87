"""The page in a browser: tables, cards, figures and contents."""

from __future__ import annotations

import pytest

from retbench.report.report import Report
from tests.report.render.html.conftest import Page

Keys = pytest.importorskip("selenium.webdriver", reason="selenium is not installed").Keys

MINUS = "\u2212"
ROWS = """
const rows = [...document.querySelectorAll('#table-1 .row')];
return rows.map((it) => it.closest('tbody').querySelector('.block').textContent + it.textContent)
""".strip()


def numbers(page: Page, column: int) -> list[float]:
    """Return the printed numbers of a column of the first table, from the top; NaN for a dash."""
    printed = page.texts(f"#table-1 .row td:nth-of-type({column}) .number")
    return [float(text.replace(MINUS, "-").replace("\u2013", "nan")) for text in printed]


def labels(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.texts("#table-1 .row th")]


def test_clicks_on_a_header_sort_ascending_then_descending_then_not(page: Page) -> None:
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


def test_cells_without_a_number_stay_last_in_both_directions(page: Page) -> None:
    for expected in ("ascending", "descending"):
        page.click("#table-1 .sort", 4)
        values = numbers(page, 4)
        assert page.one("#table-1 .state").text == f"sorted by scenes DPH, {expected}"
        assert [value != value for value in values] == ([False] * 11 + [True] * 2) * 2


def test_sorted_rows_stay_in_their_block_and_a_reset_restores_the_order(page: Page) -> None:
    blocks = "return [...document.querySelectorAll('#table-1 .grid tbody')].map((it) => it.innerText.split(/\\s+/)[0])"
    before = labels(page)
    page.click("#table-1 .sort", 1)
    after = labels(page)
    assert page.texts("#table-1 .block") == page.run(blocks) == ["MAP", "T-MAP"]
    assert (sorted(after[:13]), sorted(after[13:])) == (sorted(before[:13]), sorted(before[13:]))
    assert after != before
    page.click("#table-1 .reset")
    assert labels(page) == before


def test_a_table_without_blocks_is_sorted_as_a_whole(page: Page) -> None:
    labels = ["<script>alert('label')</script>", "plain & simple"]
    page.click("#table-2 .sort", 1)
    assert page.texts("#table-2 .row th") == labels[::-1]
    page.click("#table-2 .sort", 1)
    assert page.texts("#table-2 .row th") == labels


def test_the_keyboard_can_sort_by_label(page: Page) -> None:
    page.run("document.querySelector('#table-1 .sort').focus()")
    page.press(Keys.ENTER)
    after = labels(page)
    assert after == sorted(after[:13], key=str.lower) * 2


@pytest.mark.parametrize(
    ("text", "count", "blocks"),
    [("RetPur-D", 2, ["MAP", "T-MAP"]), ("t-map", 13, ["T-MAP"]), ("99.98", 1, ["MAP"]), ("no such text", 0, [])],
)
def test_a_filter_keeps_the_rows_that_contain_the_text(page: Page, text: str, count: int, blocks: list[str]) -> None:
    matching = [row for row in page.run(ROWS) if text.lower() in row.lower()]
    page.one("#table-1 .find input").send_keys(text)
    assert page.run(f"{ROWS}.filter((text, at) => !rows[at].hidden)") == matching
    assert len(matching) == count == len(page.texts("#table-1 .row"))
    assert page.texts("#table-1 .block") == blocks
    assert page.one("#table-1 .state").text == f"{count} of 26 rows"


def test_a_hyphen_in_a_filter_matches_a_minus_sign(page: Page) -> None:
    page.one("#table-2 .find input").send_keys("-3.12")
    assert page.texts("#table-2 .row th") == ["plain & simple"]


def test_a_column_is_hidden_with_its_header_and_a_reset_shows_it_again(page: Page) -> None:
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


def test_a_group_header_covers_only_visible_columns(page: Page) -> None:
    page.click("#table-1 .menu summary")
    page.click("#table-1 .menu input", 0)
    group, column = (page.one(f"#table-1 thead {css}").rect for css in (".group", "[data-first='1'][data-width='1']"))
    assert (group["x"], group["width"]) == (column["x"], column["width"])


def read_card(page: Page) -> dict[str, str]:
    """Return title and lines of the open card; empty if there is none."""
    if not page.one("#card").is_displayed():
        return {}
    lines = zip(page.texts("#card dt"), page.texts("#card dd"), strict=True)
    return {"": page.one("#card p").text, **dict(lines)}


def test_the_pointer_opens_the_card_of_a_number(page: Page, report: Report) -> None:
    cells, value = page.all("#table-1 td"), report.tables[0].rows[3].values[1]
    page.point_at(cells[4 * 3 + 1])
    card = read_card(page)
    assert card[""] == "MAP DDPM-P2P, digits DPH"
    assert dict(value.details).items() <= card.items()
    assert cells[4 * 3 + 1].get_attribute("aria-describedby") == "card"
    page.point_at(page.one("#card dd"))
    assert read_card(page) == card
    page.point_at(page.one("h1"))
    assert read_card(page) == {}


def test_the_arrow_keys_move_from_card_to_card(page: Page, report: Report) -> None:
    page.run("document.querySelector('#table-1 td').focus()")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert read_card(page)["key"] == dict(report.tables[0].rows[1].values[1].details)["key"]
    page.press(Keys.ESCAPE)
    assert read_card(page) == {}
    page.press(Keys.ARROW_LEFT)
    assert read_card(page)["key"] == dict(report.tables[0].rows[1].values[0].details)["key"]


def test_markup_in_a_card_is_text(page: Page) -> None:
    page.point_at(page.all("#table-2 td")[0])
    assert read_card(page)['"quoted" & <b>'] == "</script><script>alert(1)</script>"


def test_an_exhibit_loads_its_images_once_it_is_opened(page: Page) -> None:
    pictures = "[...document.querySelectorAll('.exhibit')[0].querySelectorAll('img')]"
    assert page.run(f"return {pictures}.filter((it) => it.hasAttribute('src')).length") == 0
    page.click(".exhibit > summary")
    page.wait(f"{pictures}.length === 34 && {pictures}.every((it) => it.naturalWidth === 32)")
    assert page.texts(".exhibit h4")[1].startswith("under attack")
    assert page.run("return [...document.querySelectorAll('.exhibit')[1].querySelectorAll('[src]')].length") == 0


def test_a_figure_opens_enlarged_and_escape_closes_it(page: Page, report: Report) -> None:
    small = page.one(".zoom img").size["width"]
    page.click(".zoom")
    page.wait("document.querySelector('#large img').naturalWidth > 0")
    assert page.one("#large img").size["width"] > 1.5 * small
    assert page.one("#large p").text == report.pictures[0].title
    page.press(Keys.ESCAPE)
    page.wait("!document.querySelector('#large').open")


def background(page: Page) -> str:
    color: str = page.run("return getComputedStyle(document.body).backgroundColor")
    return color


def test_the_theme_follows_the_system_until_it_is_chosen_and_is_stored(page: Page) -> None:
    light = background(page)
    page.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = background(page)
    assert light != dark
    page.click(".theme")
    assert (background(page), page.one(".theme").text) == (light, "Dark theme")
    page.emulate("setEmulatedMedia", features=[])
    page.click(".theme")
    page.driver.refresh()
    assert (background(page), page.one(".theme").text) == (dark, "Light theme")


def test_on_a_narrow_screen_tables_scroll_and_the_page_does_not(page: Page) -> None:
    page.emulate("setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=2, mobile=True)
    page.run("document.querySelectorAll('details').forEach((it) => (it.open = !it.matches('.menu')))")
    page.run("document.querySelectorAll('#table-1 td')[9].click()")
    assert page.one("#card").is_displayed()
    assert page.run("return [document.documentElement.scrollWidth, innerWidth]") == [360, 360]
    assert page.run("const it = document.querySelector('#table-1 .scroll'); return it.scrollWidth > it.clientWidth")
    page.run("document.querySelector('#table-1 .scroll').scrollLeft = 200")
    first = page.run("return document.querySelector('#table-1 .row th').getBoundingClientRect().left")
    assert first == page.run("return document.querySelector('#table-1 .scroll').getBoundingClientRect().left")


def test_contents_link_to_the_sections(page: Page) -> None:
    assert page.texts("nav li") == [*page.texts(".table-section h2"), "Figures", "Gallery", "Provenance"]
    page.emulate("setDeviceMetricsOverride", width=1440, height=500, deviceScaleFactor=1, mobile=False)
    page.one("nav a[href='#gallery']").click()
    page.wait("document.querySelector('nav [aria-current]')?.hash === '#gallery'")
