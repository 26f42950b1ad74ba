"""Event loops: alarms of tasks that wait, trio's and uvloop's, which are refused, and what holds a loop up."""
