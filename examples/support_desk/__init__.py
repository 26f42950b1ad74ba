"""The assistant of a support desk: it summarizes and sorts tickets, looks orders up, and drafts replies."""
