"""Which ground is for training and which for evaluation: blocks, folds, buffers, and what still leaks between them."""
