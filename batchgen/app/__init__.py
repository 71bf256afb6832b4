"""The composition root: each command as one readable function, returning what is to be printed."""
