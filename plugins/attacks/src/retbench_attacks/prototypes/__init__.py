"""Nets from a target's labels to a code, trained against the attacked hasher; attacks aim at their codes."""
