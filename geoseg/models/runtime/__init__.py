"""What runs a network: torch or OpenVINO behind one Protocol."""
