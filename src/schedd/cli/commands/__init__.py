"""schedctl's commands, a file for each subject."""
