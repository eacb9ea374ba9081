"""Running rules over text: keywords, escapes, encodings, overlaps."""
