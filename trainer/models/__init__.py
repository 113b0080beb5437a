"""Language models: where they are, how they are loaded, and what is put on top of them."""
