"""The `varro` command: words and numbers for people. What is done belongs to the families; how it looks is here."""
