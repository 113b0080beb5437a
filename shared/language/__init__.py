"""What a language model reads and writes: prompts, completions, reasoning."""
