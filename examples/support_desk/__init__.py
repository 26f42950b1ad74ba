"""A support desk's assistant: sums up tickets, sorts them, looks up orders and drafts replies."""
