"""What other domains than traffic have in common with it: rewards' names, problems."""
