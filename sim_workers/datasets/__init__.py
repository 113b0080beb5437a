"""Builds datasets: simulates runs, keeps decision points, and proves how states are restored."""
