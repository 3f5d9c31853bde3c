-- What happened to money, once and for all: rows are added and never changed. The types as in 1_journal.sql.

CREATE TABLE ledger (
    orchestrator TEXT NOT NULL,
    line BIGINT NOT NULL, -- counted from 0, without gaps
    subject TEXT NOT NULL, -- the account of a session
    ordinal BIGINT NOT NULL, -- the subject's entries, counted from 0
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL, -- JSON
    concludes BIGINT NOT NULL, -- 1 with the last entry of a subject, else 0
    PRIMARY KEY (orchestrator, line),
    UNIQUE (orchestrator, subject, ordinal)
);

-- The subjects to which more can happen, so that a restart need not read everything.
CREATE TABLE ledger_open (
    orchestrator TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (orchestrator, subject)
);
