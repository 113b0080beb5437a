"""What runs beside the algorithm: control, metrics, health, progress."""
