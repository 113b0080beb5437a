"""What a process gives up before a stranger's scenario is read in it."""
