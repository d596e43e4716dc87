"""A report as files: Markdown, LaTeX, HTML, CSV and JSON, and its pictures as PNG and PDF."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from retbench.errors import UserError
from retbench.report.render import as_csv, document, escape, markdown, record
from retbench.report.report import Report
from retbench.store.files import replace_file


class File(NamedTuple):
    """A file of a report: its name, and its bytes once they are asked for."""

    name: str
    data: Callable[[], bytes]


def write_report(report: Report, folder: Path, name: str) -> tuple[Path, ...]:
    """Writes a report and its pictures; returns the paths, `<name>.md` first.

    Raises:
        UserError: the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder}: it is not a folder")
    files = list(_files(report, name))
    for file in reversed(files):  # the report last, so that what it shows is there
        data = file.data()
        try:
            replace_file(folder / file.name, data)
        except OSError as error:
            raise UserError(f"--out {folder}: {file.name} cannot be written: {error.strerror}") from error
    return tuple(folder / file.name for file in files)


def _files(report: Report, name: str) -> Iterator[File]:
    yield File(f"{name}.md", lambda: f"{as_markdown(report, written=True)}\n".encode())
    yield File(f"{name}.html", lambda: as_html(report).encode())
    yield File(f"{name}.tex", lambda: document(report.tables, report.title).encode())
    yield File(f"{name}.csv", lambda: as_csv(report.tables).encode())
    yield File(f"{name}.json", lambda: f"{as_json(report, indent=1)}\n".encode())
    for picture in (*report.pictures, *report.showcases):
        yield File(f"{picture.stem}.png", lambda picture=picture: picture.png)  # type: ignore[misc]  # a default binds it now
        yield File(f"{picture.stem}.pdf", lambda picture=picture: picture.pdf)  # type: ignore[misc]  # a default binds it now


def as_html(report: Report) -> str:
    """Returns a report as one HTML page that needs no other file."""
    from retbench.report.render.html import as_html as page  # jinja2 takes its time, and most reports need none of it

    return page(report)


def as_json(report: Report, indent: int | None = None) -> str:
    """Returns a report as JSON, on one line without `indent`: its tables and lines; pictures by their files' names."""
    told = {
        "title": report.title,
        "description": report.description,
        "tables": [record(table) for table in report.tables],
        "pictures": [picture.stem for picture in (*report.pictures, *report.showcases)],
        "provenance": [list(line) for line in report.provenance],
    }
    return json.dumps(told, indent=indent)


def as_markdown(report: Report, *, written: bool = False) -> str:
    """Returns a report as Markdown; one that is `written` shows its pictures, which lie beside it."""
    pictures = [*report.pictures, *report.showcases] if written else []
    curved = [at for at, table in enumerate(report.tables) if table.curve]
    beside = dict(zip(curved, (f"{picture.stem}.png" for picture in pictures), strict=False))
    parts = [f"# {escape(report.title)}", escape(report.description)]
    parts += [markdown(table, beside.get(at, "")) for at, table in enumerate(report.tables)]
    parts += [
        f"### {escape(picture.title)}\n\n![{escape(picture.alt)}]({picture.stem}.png)"
        for picture in pictures[len(curved) :]
    ]
    parts += ["\n".join(f"- **{escape(label)}**: {escape(text)}" for label, text in report.provenance)]
    return "\n\n".join(part for part in parts if part)
