"""Building datasets: runs are simulated, decision points kept, restores proven."""
