"""The bottom of what knows torch: building components, first values, the device, random streams, shortcuts."""
