"""Tables from files, without torch: their columns, the types of these, and which are inputs and targets."""
