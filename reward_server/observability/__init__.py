"""What the gateway reports about itself: metrics, traces, readiness."""
