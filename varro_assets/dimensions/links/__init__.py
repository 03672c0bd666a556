"""Links: by what evidence a column joins a dimension, and the files where that is kept."""
