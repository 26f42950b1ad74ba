"""The faces of a report: each shows the data of the JSON report, and computes nothing of its own."""
