"""The durable store on SQLite: one thread writes, read-only connections read. SQL and rows stop here."""
