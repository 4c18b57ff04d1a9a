"""The report of a finished run or sweep: what is measured for it, and the two files, `report.html` and `README.md`."""
