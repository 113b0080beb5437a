"""What decides in an episode when nobody outside does: rules, look-ahead, recorded decisions."""
