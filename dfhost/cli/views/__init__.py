"""What a host answers, as lines for a person at a terminal. Pure: answers in, lines out."""
