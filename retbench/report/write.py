"""A report as files: Markdown, LaTeX, HTML, CSV and JSON, and its pictures as PNG and PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from retbench.errors import UserError, option_name
from retbench.report.render import as_csv, as_html, as_json, as_latex, as_markdown
from retbench.report.report import Report
from retbench.store.files import replace_file


class OutputFile(NamedTuple):
    """A file of a report: its name, and a function that returns its bytes."""

    name: str
    data: Callable[[], bytes]


def write_report(report: Report, folder: Path, name: str) -> tuple[Path, ...]:
    """Write a report and its pictures; return the paths, `<name>.md` first.

    Raises:
        UserError: the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{option_name('out')} {folder}: it is not a folder")
    files = list(_files(report, name))
    for file in reversed(files):  # the report last, so that its pictures exist by then
        write_output(folder / file.name, file.data())
    return tuple(folder / file.name for file in files)


def write_output(path: Path, data: bytes) -> None:
    """Write a file to the folder of `--out`; raise UserError if the folder cannot be written."""
    try:
        replace_file(path, data)
    except OSError as error:
        folder = option_name("out")
        raise UserError(f"{folder} {path.parent}: {path.name} cannot be written: {error.strerror}") from error


def _files(report: Report, name: str) -> Iterator[OutputFile]:
    yield OutputFile(f"{name}.md", lambda: f"{as_markdown(report, written=True)}\n".encode())
    yield OutputFile(f"{name}.html", lambda: as_html(report).encode())
    yield OutputFile(f"{name}.tex", lambda: as_latex(report.tables, report.title).encode())
    yield OutputFile(f"{name}.csv", lambda: as_csv(report.tables).encode())
    yield OutputFile(f"{name}.json", lambda: f"{as_json(report, indent=1)}\n".encode())
    pictures = (*report.pictures, *report.gallery_pictures)
    if pictures:
        from retbench.report.figures.palette import reduce_colors  # Pillow, which most reports do not need

    for picture in pictures:
        yield OutputFile(f"{picture.stem}.png", lambda picture=picture: reduce_colors(picture.png))  # type: ignore[misc]  # a default binds it now
        yield OutputFile(f"{picture.stem}.pdf", lambda picture=picture: picture.pdf)  # type: ignore[misc]  # a default binds it now
