-- Instants are UTC microseconds, states and reasons their names, nested values JSON: the file can be read with the sqlite3 shell.

-- The daemon's own marks, by name.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO marks VALUES ('planned_through_us', 0);

-- `tombstone` is 0 while a schedule stands and its uid once it is deleted: a name has at most one holder that is not deleted.
CREATE TABLE schedules (
    row             INTEGER PRIMARY KEY,
    uid             INTEGER NOT NULL,
    group_name      TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    tombstone       INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    state_reason    TEXT    NOT NULL,
    pause           TEXT,
    time_zone       TEXT    NOT NULL,
    when_json       TEXT    NOT NULL,
    target_kind     TEXT    NOT NULL,
    target          TEXT    NOT NULL,
    policies        TEXT    NOT NULL,
    labels          TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    creator         TEXT    NOT NULL,
    created_us      INTEGER NOT NULL,
    updated_us      INTEGER NOT NULL,
    deleted_us      INTEGER,
    planned_from_us INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX schedules_name ON schedules (group_name, name, tombstone);
CREATE UNIQUE INDEX schedules_uid ON schedules (uid);
CREATE INDEX schedules_created ON schedules (created_us, uid);
CREATE INDEX schedules_updated ON schedules (updated_us, uid);
CREATE INDEX schedules_unusual ON schedules (state, group_name, name) WHERE state <> 'ENABLED';
CREATE INDEX schedules_deleted ON schedules (deleted_us) WHERE deleted_us IS NOT NULL;

-- The hot columns of every enabled schedule, apart so that they load fast and are refreshed without rewriting a schedule.
CREATE TABLE timers (
    row             INTEGER PRIMARY KEY,
    generation      INTEGER NOT NULL,
    next_us         INTEGER NOT NULL,
    planned_from_us INTEGER NOT NULL
) STRICT;

CREATE TABLE labels (
    key   TEXT    NOT NULL,
    value TEXT    NOT NULL,
    row   INTEGER NOT NULL,
    PRIMARY KEY (key, value, row)
) STRICT, WITHOUT ROWID;

-- The places of purged schedules, to be used again, and the names that their journal rows still speak of.
CREATE TABLE free_rows (
    row INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE purged_schedules (
    uid        INTEGER PRIMARY KEY,
    group_name TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    purged_us  INTEGER NOT NULL
) STRICT;

CREATE INDEX purged_schedules_name ON purged_schedules (group_name, name);

CREATE TABLE executions (
    id              INTEGER PRIMARY KEY,
    schedule_uid    INTEGER NOT NULL,
    schedule_row    INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    cause           TEXT    NOT NULL,
    nominal_us      INTEGER NOT NULL,
    due_us          INTEGER NOT NULL,
    armed_us        INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    outcome         TEXT,
    reason          TEXT    NOT NULL,
    attempt         INTEGER NOT NULL,
    started_us      INTEGER,
    finished_us     INTEGER,
    next_attempt_us INTEGER
) STRICT;

CREATE UNIQUE INDEX executions_occurrence ON executions (schedule_uid, nominal_us, cause);
CREATE INDEX executions_nominal ON executions (nominal_us);
CREATE INDEX executions_due ON executions (due_us);
CREATE INDEX executions_unfinished ON executions (due_us) WHERE state <> 'FINISHED';
CREATE INDEX executions_finished ON executions (finished_us) WHERE finished_us IS NOT NULL;

CREATE TABLE attempts (
    execution_id     INTEGER NOT NULL,
    number           INTEGER NOT NULL,
    started_us       INTEGER NOT NULL,
    finished_us      INTEGER NOT NULL,
    outcome          TEXT    NOT NULL,
    reason           TEXT    NOT NULL,
    code             INTEGER,
    message          TEXT    NOT NULL,
    output           BLOB    NOT NULL,
    error_output     BLOB    NOT NULL,
    output_truncated INTEGER NOT NULL,
    retry_after_us   INTEGER,
    PRIMARY KEY (execution_id, number)
) STRICT, WITHOUT ROWID;

-- A journal row says by itself what an execution was: the execution's own row goes earlier (disarmed, or too old).
CREATE TABLE journal (
    sequence     INTEGER PRIMARY KEY,
    time_us      INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    actor        TEXT    NOT NULL,
    schedule_uid INTEGER NOT NULL,
    schedule_row INTEGER NOT NULL,
    execution_id INTEGER,
    cause        TEXT,
    nominal_us   INTEGER,
    due_us       INTEGER,
    attempt      INTEGER,
    outcome      TEXT,
    reason       TEXT    NOT NULL,
    evidence     TEXT
) STRICT;

CREATE INDEX journal_schedule ON journal (schedule_uid) WHERE schedule_uid <> 0;
CREATE INDEX journal_execution ON journal (execution_id) WHERE execution_id IS NOT NULL;

-- The answers of calls that carried a request id: uids of schedules, ids of executions, or what a batch has chosen.
CREATE TABLE requests (
    scope       TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    answer      TEXT    NOT NULL,
    time_us     INTEGER NOT NULL,
    PRIMARY KEY (scope, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_time ON requests (time_us);
