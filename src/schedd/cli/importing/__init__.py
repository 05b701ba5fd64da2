"""Moving in: crontabs and systemd timers become a schedules file, with a proof that they fire at the same times."""
