-- What the warehouse holds, table by table and period by period, and how to read it.

CREATE SCHEMA fact;
CREATE SCHEMA build;
COMMENT ON SCHEMA fact IS 'One table per followed StatBank table: codes as text, tid typed, indhold the value';
COMMENT ON SCHEMA build IS 'Tables under construction; a finished one moves to its schema in one transaction';
COMMENT ON SCHEMA meta IS 'What is loaded, when it was published, and what columns and codes mean';

CREATE TABLE meta.period_load (
    table_id text NOT NULL,
    tid_code text NOT NULL,
    tid_value text NOT NULL,
    content_hash text NOT NULL,
    shape_hash text NOT NULL,
    fact_oid oid NOT NULL,
    rows bigint NOT NULL,
    updated timestamp NOT NULL,
    run_id text,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_id, tid_code)
);
COMMENT ON TABLE meta.period_load IS 'Each period in the warehouse: written in the transaction that loaded it';
COMMENT ON COLUMN meta.period_load.tid_code IS 'The publisher''s code, such as 2025M03';
COMMENT ON COLUMN meta.period_load.tid_value IS 'What stands in the tid column, as text';
COMMENT ON COLUMN meta.period_load.fact_oid IS 'The relation it was loaded into; another one means it is not loaded any more';
COMMENT ON COLUMN meta.period_load.updated IS 'When the publisher last changed the table, as published (Danish time), when this content was read';

CREATE TABLE meta.table_sync (
    table_id text PRIMARY KEY,
    updated timestamp NOT NULL,
    shape_hash text NOT NULL,
    fact_oid oid NOT NULL,
    periods integer NOT NULL,
    rows bigint NOT NULL,
    new_periods integer NOT NULL,
    revised_periods integer NOT NULL,
    unchanged_periods integer NOT NULL,
    kept_periods integer NOT NULL,
    run_id text,
    synced_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE meta.table_sync IS 'The last sync of each table in which every planned period came in';
COMMENT ON COLUMN meta.table_sync.updated IS 'The publication that is held; a table is due when the catalogue says otherwise';
COMMENT ON COLUMN meta.table_sync.kept_periods IS 'Periods the publisher no longer offers, kept here';

CREATE TABLE meta.fact_table (
    table_id text PRIMARY KEY,
    relation text NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    unit text NOT NULL,
    frequency text NOT NULL,
    tid_type text NOT NULL,
    first_period text,
    last_period text,
    updated timestamp NOT NULL,
    absent_value text NOT NULL,
    footnote text,
    documentation_url text,
    subject_path text,
    source text NOT NULL
);
COMMENT ON TABLE meta.fact_table IS 'Each table in schema fact: what it is and what its numbers mean';
COMMENT ON COLUMN meta.fact_table.absent_value IS 'What a combination of codes without a row stands for, within the life of its codes (normally 0)';

CREATE TABLE meta.fact_column (
    table_id text NOT NULL REFERENCES meta.fact_table ON DELETE CASCADE,
    column_name text NOT NULL,
    variable_id text NOT NULL,
    position smallint NOT NULL,
    role text NOT NULL CHECK (role IN ('dimension', 'time', 'value')),
    sql_type text NOT NULL,
    label text NOT NULL,
    elimination boolean NOT NULL,
    map text,
    PRIMARY KEY (table_id, column_name)
);
COMMENT ON COLUMN meta.fact_column.elimination IS 'The publisher can sum over this dimension; its total is one of its codes';
COMMENT ON COLUMN meta.fact_column.map IS 'The publisher''s map for a geographic column';

CREATE TABLE meta.code (
    table_id text NOT NULL,
    column_name text NOT NULL,
    code text COLLATE "C" NOT NULL,
    text text NOT NULL,
    position integer NOT NULL,
    declared boolean NOT NULL DEFAULT true,
    span int4range,
    PRIMARY KEY (table_id, column_name, code),
    FOREIGN KEY (table_id, column_name) REFERENCES meta.fact_column ON DELETE CASCADE
);
COMMENT ON TABLE meta.code IS 'Every code with its label, in the publisher''s order';
COMMENT ON COLUMN meta.code.declared IS 'False for a code the publisher has withdrawn, kept for the periods that have it';
COMMENT ON COLUMN meta.code.span IS 'The numbers a code covers: 7 is [7,8), 0-4 is [0,5), 100- and 80OV are open upwards';
