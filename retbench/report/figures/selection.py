"""The conditions that a panel of lines shows where all of them would be too many to distinguish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retbench.report.figures.panel_data import NONE, Condition, PanelData

MAX_LINES, MAX_DEFENSES = 8, 6
"""Lines that a panel may have, and defenses that it keeps where it would have more lines."""


class SelectedConditions(NamedTuple):
    """The conditions that are shown, and a note on the selected defenses; no note if nothing was left out."""

    conditions: tuple[Condition, ...]
    note: str


def select_conditions(panel: PanelData, known: Sequence[Condition]) -> SelectedConditions:
    """Return the known conditions that a panel of lines shows: 8 at most, never clean queries behind a defense.

    Where there are more, clean queries, every attack without a defense, and the defenses under the strongest attack
    are kept. The strongest attack has the highest T-MAP without a defense or, if any attack is untargeted, the lowest
    MAP. Of more than 6 defenses, those with the highest MAP under it are kept. Attacks are never left out, so a panel
    of many attacks has more than 8 lines.
    """
    undefended = [condition for condition in known if condition.defense == NONE]
    defended = [condition for condition in known if NONE not in (condition.attack, condition.defense)]
    if len(undefended) + len(defended) <= MAX_LINES or not defended:
        return SelectedConditions((*undefended, *defended), "")
    strongest = strongest_attack(panel, undefended) or defended[0].attack
    candidates = [condition for condition in defended if condition.attack == strongest]
    best = sorted(candidates, key=lambda condition: -panel.rows[condition].metrics["map"].value)[:MAX_DEFENSES]
    kept = [condition for condition in candidates if condition in best]
    which = "defenses" if len(kept) == len(candidates) else f"best {MAX_DEFENSES} of {len(candidates)} defenses"
    return SelectedConditions((*undefended, *kept), f"{which} under {panel.names('attack', strongest)}")


def strongest_attack(panel: PanelData, undefended: Sequence[Condition]) -> str:
    """Return the attack that changes the ranking most; empty if none of the undefended conditions is attacked."""
    rows = [panel.rows[condition] for condition in undefended if condition.attack != NONE]
    if all(row.budget.get("goal") == "targeted" for row in rows):
        return max(rows, key=lambda row: row.metrics["t_map"].value).attack if rows else ""
    return min(rows, key=lambda row: row.metrics["map"].value).attack
