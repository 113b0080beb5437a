"""The messages of the HTTP interface, one noun a file."""
