"""Studies: a suite opened against a store, for the command line and the Python API.

Nothing is imported here: the command line reads the default store (`store_path`) before it loads heavy modules.
"""
