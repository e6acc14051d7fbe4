"""What weather, sun and seasons do to chips, and what a sensor loses on the way."""
