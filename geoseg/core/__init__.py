"""What things are: pure values without files and without torch."""
