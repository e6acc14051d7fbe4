"""Files to values and back: the only room that opens a scene, a label layer or an output."""
