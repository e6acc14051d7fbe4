"""The default bundle and its card."""
