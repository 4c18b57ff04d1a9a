"""Tables from files, without torch: which columns there are, of which type, and which are inputs and targets."""
