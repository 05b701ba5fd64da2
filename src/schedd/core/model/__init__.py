"""What schedd knows: frozen descriptions of schedules, targets, policies, executions and the journal."""
