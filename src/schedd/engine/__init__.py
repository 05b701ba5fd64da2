"""The engine: agents that plan, dispatch, record and keep. Each has one file, and `run()` is a loop around `run_once(now)`."""
