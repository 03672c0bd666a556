-- Dimension tables, which column joins which, how long each code has been in use, and what the documents were made of.

CREATE SCHEMA dim;
COMMENT ON SCHEMA dim IS 'Dimension tables: kode, niveau (1 = top), titel, parent_kode, parent_niveau; <name>_tree has path and root';

CREATE TABLE meta.dimension (
    name text PRIMARY KEY,
    title text NOT NULL,
    source text NOT NULL,
    page text NOT NULL,
    levels integer NOT NULL,
    members integer NOT NULL,
    content_hash text NOT NULL,
    relation_oid oid NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE meta.dimension IS 'Each table in schema dim and what it was made of; written in the transaction that filled it';
COMMENT ON COLUMN meta.dimension.relation_oid IS 'The relation that was filled; another one means it is to be filled anew';

CREATE TABLE meta.dimension_link (
    table_id text NOT NULL,
    column_name text NOT NULL,
    variable_id text NOT NULL,
    dimension text NOT NULL,
    match_type text NOT NULL CHECK (match_type IN ('exact', 'approx')),
    join_sql text NOT NULL,
    coverage double precision NOT NULL,
    levels integer[] NOT NULL,
    not_in_dimension text[] NOT NULL,
    score double precision NOT NULL,
    note text NOT NULL,
    made_by text NOT NULL CHECK (made_by IN ('varro', 'hand')),
    PRIMARY KEY (table_id, column_name)
);
COMMENT ON TABLE meta.dimension_link IS 'Which fact column joins which dimension: a copy of data/dst/dimension_links for whoever has only psql';
COMMENT ON COLUMN meta.dimension_link.join_sql IS 'Condition between fact table f and dimension table d';
COMMENT ON COLUMN meta.dimension_link.levels IS 'Levels of the dimension on which the column''s codes stand; filter on one to count each row once';

ALTER TABLE meta.code ADD COLUMN first_period text, ADD COLUMN last_period text;
COMMENT ON COLUMN meta.code.first_period IS 'The first held period (the publisher''s code) with a row of this code; NULL if no row has it';
COMMENT ON COLUMN meta.code.last_period IS 'The last such period; between them an absent row means absent_value';

CREATE TABLE meta.document (
    table_id text PRIMARY KEY,
    inputs_hash text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE meta.document IS 'What each table''s documents were made of: as long as it is the same they need not be made again';
