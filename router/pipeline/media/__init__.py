"""Files and voice notes: fetched, kept, written down."""
