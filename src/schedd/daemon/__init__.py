"""The process: configuration, lock, signals, systemd, logging, and the composition of all layers."""
