"""Other trainers' own code against a served dataset: ``make clients``."""
