"""Accuracy and area of a map from a random sample of reference points."""
