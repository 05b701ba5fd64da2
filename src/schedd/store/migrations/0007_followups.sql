-- Where an execution comes from that is no occurrence, as JSON: who triggered it or which one it follows, and what it has of its own.
ALTER TABLE executions ADD COLUMN origin TEXT;

-- Targets that are to be told of an execution's end. A row goes when its target has been called.
CREATE TABLE notices (
    id     INTEGER PRIMARY KEY,
    notice TEXT NOT NULL
) STRICT;
