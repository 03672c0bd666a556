"""Text: what the documents say; pure, from cards, without files, database or clock."""
