"""Marks of footnotes."""

from retbench.report.tables.pivot import DAGGER, Footnotes


def test_letters_go_on_after_z_as_the_columns_of_a_spreadsheet() -> None:
    notes = Footnotes()
    marks = [notes.mark(f"note {at}") for at in range(26 + 26 * 26 + 1)]
    assert marks[:3] == ["a", "b", "c"]
    assert marks[25:28] == ["z", "aa", "ab"]
    assert marks[51:53] == ["az", "ba"]
    assert marks[-2:] == ["zz", "aaa"]
    assert len(set(marks)) == len(marks)


def test_a_text_keeps_its_mark() -> None:
    notes = Footnotes()
    assert [notes.mark(text) for text in ("x", "y", "x")] == ["a", "b", "a"]
    assert notes.texts() == (("a", "x"), ("b", "y"))


def test_what_failed_has_daggers_told_last() -> None:
    notes = Footnotes()
    assert [notes.dagger(text) for text in ("x", "y", "x", "z")] == [DAGGER, f"{DAGGER}2", DAGGER, f"{DAGGER}3"]
    assert notes.mark("x") == "a"
    assert notes.texts() == (("a", "x"), (DAGGER, "x"), (f"{DAGGER}2", "y"), (f"{DAGGER}3", "z"))


def test_without_a_note_nothing_is_told() -> None:
    assert Footnotes().texts() == ()
