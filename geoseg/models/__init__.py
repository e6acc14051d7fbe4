"""Networks and the file that carries them."""
