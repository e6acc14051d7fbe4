"""Mixing: chips with a part of them covered, or taken from other chips of the batch."""
