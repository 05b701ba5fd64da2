"""The pure heart of schedd: no I/O, no clock, no event loop. Functions here take the time, the state and the policy."""
