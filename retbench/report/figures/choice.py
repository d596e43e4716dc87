"""Which conditions a panel of lines shows, where all of them would be too many to tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retbench.report.figures.setting import NONE, Condition, Setting

LINES, DEFENSES = 8, 6
"""As many lines a panel may have, and defenses where it would have more."""


class Choice(NamedTuple):
    """The conditions that are shown, and which defended ones they are; empty where none was left out."""

    conditions: tuple[Condition, ...]
    note: str


def choose(setting: Setting, known: Sequence[Condition]) -> Choice:
    """Return the known conditions that a panel of lines shows: never clean queries behind a defense, 8 at most.

    Where there are more, clean queries stay, every attack without a defense, and the defenses under the strongest
    attack. That is the one that, without a defense, reaches the highest T-MAP, or, where any attack is untargeted,
    leaves the lowest MAP. Of more than 6 defenses those stay that keep the highest MAP under it. Attacks are never left
    out, so a panel of many attacks has more lines.
    """
    bare = [condition for condition in known if condition.defense == NONE]
    defended = [condition for condition in known if NONE not in (condition.attack, condition.defense)]
    if len(bare) + len(defended) <= LINES or not defended:
        return Choice((*bare, *defended), "")
    strongest = strongest_attack(setting, bare) or defended[0].attack
    under = [condition for condition in defended if condition.attack == strongest]
    best = sorted(under, key=lambda condition: -setting.rows[condition].metrics["map"].value)[:DEFENSES]
    kept = [condition for condition in under if condition in best]
    which = "defenses" if len(kept) == len(under) else f"best {DEFENSES} of {len(under)} defenses"
    return Choice((*bare, *kept), f"{which} under {setting.names('attack', strongest)}")


def strongest_attack(setting: Setting, bare: Sequence[Condition]) -> str:
    """Return the attack that moves the ranking furthest; empty where none of the undefended conditions is attacked."""
    rows = [setting.rows[condition] for condition in bare if condition.attack != NONE]
    if all(row.budget.get("goal") == "targeted" for row in rows):
        return max(rows, key=lambda row: row.metrics["t_map"].value).attack if rows else ""
    return min(rows, key=lambda row: row.metrics["map"].value).attack
