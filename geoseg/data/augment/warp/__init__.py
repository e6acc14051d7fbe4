"""Warps: the same ground looked at from elsewhere. All warps of a chip are resampled once, the last one first."""
