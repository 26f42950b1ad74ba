"""What a program would meet in other worlds: recordings with other times, and answers that no API gave."""
