-- How often each schedule with a limit (`max_runs`) has run; no other schedule has a row here.
CREATE TABLE run_counts (
    uid   INTEGER PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT;

CREATE TRIGGER run_counts_purged AFTER DELETE ON schedules
BEGIN
    DELETE FROM run_counts WHERE uid = OLD.uid;
END;
