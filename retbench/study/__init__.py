"""A suite opened against a store: what the command line and the Python API both work with.

Nothing is imported here, so that the command line may read where a store lies without loading what a study needs.
"""
