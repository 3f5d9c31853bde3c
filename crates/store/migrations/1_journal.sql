-- One text for SQLite and PostgreSQL. SQLite takes any name for a type: to it BYTEA is a column without one, and bytes
-- stay bytes in it. Ids of bytes are kept as hex, because people will look for them. Times are Unix milliseconds.

CREATE TABLE orchestrators (
    orchestrator TEXT NOT NULL PRIMARY KEY,
    openings BIGINT NOT NULL -- how often a process opened its records; tells one that was replaced that it was
);

-- name to expires_ms are a reading of the advert, for people; NULL where this version could not read it.
CREATE TABLE nodes (
    orchestrator TEXT NOT NULL,
    node TEXT NOT NULL,
    name TEXT,
    device TEXT,
    reach TEXT,
    memory_bytes BIGINT,
    price_per_hour BIGINT, -- millionths of a US dollar
    expires_ms BIGINT,
    seen_ms BIGINT NOT NULL,
    strikes BIGINT NOT NULL,
    slowness BIGINT NOT NULL, -- thousandths
    advert BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    PRIMARY KEY (orchestrator, node)
);

-- How models are cut, in route order.
CREATE TABLE places (
    orchestrator TEXT NOT NULL,
    model TEXT NOT NULL,
    place BIGINT NOT NULL,
    first_layer BIGINT NOT NULL,
    end_layer BIGINT NOT NULL, -- one past the last
    PRIMARY KEY (orchestrator, model, place)
);

-- Who holds them.
CREATE TABLE holders (
    orchestrator TEXT NOT NULL,
    model TEXT NOT NULL,
    place BIGINT NOT NULL,
    holder BIGINT NOT NULL, -- the order they were given in
    node TEXT NOT NULL,
    assignment BIGINT NOT NULL,
    PRIMARY KEY (orchestrator, model, place, holder)
);

CREATE TABLE sessions (
    orchestrator TEXT NOT NULL,
    session TEXT NOT NULL,
    client TEXT NOT NULL,
    model TEXT NOT NULL,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (orchestrator, session)
);

-- ended_ms is NULL while one is on its way, or was interrupted; fault is NULL where all went well.
CREATE TABLE generations (
    orchestrator TEXT NOT NULL,
    generation TEXT NOT NULL,
    session TEXT NOT NULL,
    began_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    tokens BIGINT,
    fault TEXT,
    PRIMARY KEY (orchestrator, generation)
);
CREATE INDEX generations_by_session ON generations (orchestrator, session);
CREATE INDEX generations_by_age ON generations (orchestrator, began_ms, generation);
