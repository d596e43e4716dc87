"""Resumable trainings and their checkpoints."""
