"""The `varro` command: words and numbers for people. What a command does belongs to the families; how it looks is here."""
