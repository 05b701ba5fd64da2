"""The wire contract, generated from proto/schedd/v1 by `make proto`; the modules beside this one are never edited."""
