"""Marks of footnotes."""

from retbench.report.tables.pivot import DAGGER, Footnotes


def test_letters_continue_after_z_like_the_columns_of_a_spreadsheet() -> None:
    footnotes = Footnotes()
    marks = [footnotes.letter(f"note {at}") for at in range(26 + 26 * 26 + 1)]
    assert marks[:3] == ["a", "b", "c"]
    assert marks[25:28] == ["z", "aa", "ab"]
    assert marks[51:53] == ["az", "ba"]
    assert marks[-2:] == ["zz", "aaa"]
    assert len(set(marks)) == len(marks)


def test_a_text_keeps_its_mark() -> None:
    footnotes = Footnotes()
    assert [footnotes.letter(text) for text in ("x", "y", "x")] == ["a", "b", "a"]
    assert footnotes.entries() == (("a", "x"), ("b", "y"))


def test_failures_have_daggers_listed_last() -> None:
    footnotes = Footnotes()
    assert [footnotes.dagger(text) for text in ("x", "y", "x", "z")] == [DAGGER, f"{DAGGER}2", DAGGER, f"{DAGGER}3"]
    assert footnotes.letter("x") == "a"
    assert footnotes.entries() == (("a", "x"), (DAGGER, "x"), (f"{DAGGER}2", "y"), (f"{DAGGER}3", "z"))


def test_footnotes_start_empty() -> None:
    assert Footnotes().entries() == ()
