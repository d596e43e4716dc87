"""A suite opened against a store: what the command line and the Python API both work with.

Nothing is imported here: the command line asks where a store lies (`place`) before it loads what a study needs.
"""
