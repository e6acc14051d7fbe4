"""What sensor, optics and processing do to the numbers of the same ground: one technique a file."""
