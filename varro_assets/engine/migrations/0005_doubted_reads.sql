-- An answer that was not believed is on record too.

COMMENT ON COLUMN meta.period_read.content_hash IS
    'What was found; empty if it was not believed; a file of other content was put in place since and not recorded';
