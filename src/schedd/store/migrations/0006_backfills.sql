-- Ranges of past occurrences that are worked off: asked for (cause BACKFILL), or a catch-up's backlog (cause SCHEDULE, gone once it is done).
-- `next_us` is the first nominal time that is not decided; `left_count` how many more may be, `paced_us` when the next may start.
CREATE TABLE backfills (
    id              INTEGER PRIMARY KEY,
    schedule_uid    INTEGER NOT NULL,
    schedule_row    INTEGER NOT NULL,
    cause           TEXT    NOT NULL,
    start_us        INTEGER NOT NULL,
    end_us          INTEGER NOT NULL,
    overlap         TEXT    NOT NULL,
    rate_per_second REAL    NOT NULL,
    actor           TEXT    NOT NULL,
    created_us      INTEGER NOT NULL,
    total_count     INTEGER NOT NULL,
    next_us         INTEGER,
    left_count      INTEGER NOT NULL,
    paced_us        INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    finished_us     INTEGER,
    done_count      INTEGER NOT NULL,
    succeeded_count INTEGER NOT NULL,
    failed_count    INTEGER NOT NULL,
    skipped_count   INTEGER NOT NULL
) STRICT;

CREATE INDEX backfills_schedule ON backfills (schedule_uid, id);
CREATE INDEX backfills_running ON backfills (id) WHERE state = 'RUNNING';
CREATE INDEX backfills_finished ON backfills (finished_us) WHERE finished_us IS NOT NULL;

-- 0: it belongs to none.
ALTER TABLE executions ADD COLUMN backfill INTEGER NOT NULL DEFAULT 0;
