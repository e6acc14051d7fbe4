"""Scenes and labels to batches."""
