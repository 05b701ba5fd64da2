-- What the data said of each time zone that schedules are in, when the daemon last looked: `offsets` are the coming ones within
-- [from_us, until_us), as JSON pairs of an instant and the offset from it on, both in microseconds.
CREATE TABLE zones (
    name     TEXT    PRIMARY KEY,
    version  TEXT    NOT NULL,
    from_us  INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    offsets  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- The zones of schedules that are there already: nothing is known of them yet, so nothing has changed.
INSERT INTO zones SELECT DISTINCT time_zone, '', 0, 0, '[]' FROM schedules;
