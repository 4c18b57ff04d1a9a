"""One run: launched, trained, reported, and evaluated; where training and record meet."""
