"""Event loops beside asyncio's own and trio's: which are followed, which are refused, and what holds a loop up."""
