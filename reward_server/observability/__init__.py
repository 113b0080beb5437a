"""What the gateway shows of itself: metrics, traces, readiness."""
