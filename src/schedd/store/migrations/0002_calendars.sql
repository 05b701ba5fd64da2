-- Calendars, and which schedules use them. A calendar is used by the row of each schedule that names it and is not deleted.
CREATE TABLE calendars (
    uid         INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    generation  INTEGER NOT NULL,
    time_zone   TEXT    NOT NULL,
    entries     TEXT    NOT NULL,
    labels      TEXT    NOT NULL,
    description TEXT    NOT NULL,
    creator     TEXT    NOT NULL,
    created_us  INTEGER NOT NULL,
    updated_us  INTEGER NOT NULL
) STRICT;

CREATE TABLE calendar_uses (
    calendar TEXT    NOT NULL,
    row      INTEGER NOT NULL,
    PRIMARY KEY (calendar, row)
) STRICT, WITHOUT ROWID;

CREATE INDEX calendar_uses_row ON calendar_uses (row);
