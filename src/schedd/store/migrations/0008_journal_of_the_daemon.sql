-- What the journal has on the daemon itself, the host's clock and calendars: few rows among very many.
CREATE INDEX journal_daemon ON journal (sequence) WHERE schedule_uid = 0;
