-- When each period was last read from the publisher, and what was found to have changed.

CREATE TABLE meta.period_read (
    table_id text NOT NULL,
    tid_code text NOT NULL,
    updated timestamp NOT NULL,
    read_at timestamptz NOT NULL,
    PRIMARY KEY (table_id, tid_code)
);
COMMENT ON TABLE meta.period_read IS 'When each period was last asked of the publisher, whether or not it had changed';
COMMENT ON COLUMN meta.period_read.updated IS 'The publication it was read of (Danish time, as published)';

CREATE TABLE meta.revision (
    table_id text NOT NULL,
    tid_code text NOT NULL,
    detected_at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('new', 'revised', 'reshaped', 'forgotten')),
    updated_before timestamp,
    updated timestamp NOT NULL,
    hash_before text,
    hash_after text,
    rows_before bigint NOT NULL,
    rows_after bigint NOT NULL,
    rows_added bigint NOT NULL,
    rows_removed bigint NOT NULL,
    values_changed bigint NOT NULL,
    largest_change double precision,
    cells text,
    run_id text,
    PRIMARY KEY (table_id, tid_code, detected_at)
);
COMMENT ON TABLE meta.revision IS 'Every change of a held period: what the publisher revised, and when it was noticed here';
COMMENT ON COLUMN meta.revision.kind IS 'new = the period came in; revised = values or rows changed; reshaped = the table got other columns; forgotten = taken out by hand';
COMMENT ON COLUMN meta.revision.largest_change IS 'Largest absolute difference between an old and a new number';
COMMENT ON COLUMN meta.revision.cells IS 'Parquet file of the changed cells, below data/dst/revisions';
