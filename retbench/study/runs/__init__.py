"""The runs recorded in a store: their records, their history, and the removal of what none of them uses."""
