"""Where scenes and models meet: contract, engine and the sentence of predict."""
