"""Changes to chips that leave their labels true: one technique a file."""
