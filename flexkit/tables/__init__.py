"""Evidence kept: schemas, normalization, redaction and the data folder."""
