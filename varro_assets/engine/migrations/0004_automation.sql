-- When each period was last read from the publisher, and what was found to have changed.

CREATE TABLE meta.period_read (
    table_id text NOT NULL,
    tid_code text NOT NULL,
    updated timestamp NOT NULL,
    read_at timestamptz NOT NULL,
    read_before timestamptz,
    content_hash text NOT NULL,
    PRIMARY KEY (table_id, tid_code)
);
COMMENT ON TABLE meta.period_read IS 'When each period was last asked of the publisher, whether or not it had changed';
COMMENT ON COLUMN meta.period_read.updated IS 'The publication it was read of (Danish time, as published)';
COMMENT ON COLUMN meta.period_read.read_before IS 'When it had last been read of an earlier publication';
COMMENT ON COLUMN meta.period_read.content_hash IS 'What was found; a file of other content was put in place since and not recorded';

CREATE TABLE meta.revision (
    table_id text NOT NULL,
    tid_code text NOT NULL,
    detected_at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('new', 'revised', 'reshaped', 'mended', 'forgotten')),
    updated_before timestamp,
    updated timestamp,
    hash_before text,
    hash_after text,
    rows_before bigint,
    rows_after bigint NOT NULL,
    rows_added bigint,
    rows_removed bigint,
    values_changed bigint,
    largest_change double precision,
    cells text,
    run_id text,
    PRIMARY KEY (table_id, tid_code, detected_at)
);
CREATE INDEX revision_detected_at_idx ON meta.revision (detected_at);
COMMENT ON TABLE meta.revision IS 'Every change of a held period: what the publisher revised, and when it was noticed here';
COMMENT ON COLUMN meta.revision.kind IS 'new = the period came in; revised = values or rows changed; reshaped = the table got other columns; mended = its file could not be read and was fetched anew; forgotten = taken out by hand';
COMMENT ON COLUMN meta.revision.detected_at IS 'When it was noticed here; the publisher says only when the table last changed. Of a new period: when it was fetched';
COMMENT ON COLUMN meta.revision.updated IS 'The publication that the new content was read of (Danish time, as published)';
COMMENT ON COLUMN meta.revision.rows_before IS 'NULL, like the hash and the counts of changes, where the old content is not known';
COMMENT ON COLUMN meta.revision.largest_change IS 'Largest absolute difference between an old and a new number';
COMMENT ON COLUMN meta.revision.cells IS 'Parquet file of the changed cells, below data/dst/revisions; NULL where none are kept';
