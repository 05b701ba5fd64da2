"""The HTTP side: metrics for Prometheus, and a health check."""
