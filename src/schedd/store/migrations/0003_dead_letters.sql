-- Executions whose last attempt failed, and what that attempt sent. They and their attempts stay as long as the dead letter does.
CREATE TABLE dead_letters (
    execution_id   INTEGER PRIMARY KEY,
    created_us     INTEGER NOT NULL,
    redelivered_us INTEGER,
    request_kind   TEXT,
    request        TEXT
) STRICT;

CREATE INDEX dead_letters_created ON dead_letters (created_us);

-- Where the series of attempts that a redelivery began starts.
ALTER TABLE executions ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN redelivered_us INTEGER;
