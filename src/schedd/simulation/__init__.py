"""The real engine and store on virtual time: for the tests that break it, and for forecasts of what a file of schedules will do."""
