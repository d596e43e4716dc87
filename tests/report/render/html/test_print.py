"""The printed page."""

from __future__ import annotations

from retbench.report.report import Report
from tests.report.render.html.conftest import Page

OPEN = "return [...document.querySelectorAll('.more')].map((it) => it.open)"


def test_print_is_black_on_white_without_controls(page: Page) -> None:
    page.click(".theme")
    page.emulate("setEmulatedMedia", media="print")
    controls = page.all("nav, .tools, .theme, .reset, .find, #card, dialog, .exhibit, #gallery h2")
    assert len(controls) > 10
    assert [control for control in controls if control.is_displayed()] == []
    assert page.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate("setDeviceMetricsOverride", width=688, height=1000, deviceScaleFactor=1, mobile=False)  # A4 in margins
    assert page.run("return Math.max(...[...document.querySelectorAll('table')].map((it) => it.scrollWidth))") <= 688


def test_print_shows_costs_and_provenance_without_the_script(page: Page, report: Report) -> None:
    table = report.tables[0]
    assert page.texts(".more tbody th") == page.texts(".more dt") == []
    page.emulate("setEmulatedMedia", media="print")
    assert page.run(OPEN) == [False, False]
    assert page.texts(".more tbody th") == [line.label for line in table.costs]
    assert list(zip(page.texts(".more dt"), page.texts(".more dd"), strict=True)) == list(table.provenance)


def test_printing_opens_folded_sections_and_closes_them_again(page: Page) -> None:
    page.click(".more > summary", 1)
    for event, expected in (("beforeprint", [True, True]), ("afterprint", [False, True])):
        page.run("dispatchEvent(new Event(arguments[0]))", event)
        assert page.run(OPEN) == expected


def test_print_keeps_an_opened_exhibit_under_its_heading(page: Page) -> None:
    page.click(".exhibit > summary")
    page.emulate("setEmulatedMedia", media="print")
    assert page.texts("#gallery h2") == ["Gallery"]
    assert len(page.texts(".exhibit")) == 1


def test_headings_are_not_separated_from_their_content(page: Page) -> None:
    page.emulate("setEmulatedMedia", media="print")
    style = "const it = getComputedStyle(arguments[0]); return [it.breakInside, it.breakAfter]"
    headings = page.all("h1, h2, h4, .more > summary")
    assert [page.run(style, heading) for heading in headings] == [["avoid", "avoid"]] * len(headings)
