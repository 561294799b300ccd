"""Does the file say what the model says? Codes, arithmetic and predictions, compared."""
