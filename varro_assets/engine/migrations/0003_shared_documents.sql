-- What the documents that speak of many tables were made of, and where they lie: subject pages, dimension documents.

CREATE TABLE meta.shared_document (
    about text PRIMARY KEY,
    path text NOT NULL,
    inputs_hash text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE meta.shared_document IS 'What subject pages and dimension documents were made of: as long as it is the same they need not be made again';
COMMENT ON COLUMN meta.shared_document.about IS 'subject and its ids from the top, or dim and its name';
