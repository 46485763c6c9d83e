"""What is counted, and for whom. Pure: values and a time in, values out; no clock, disk, network or logging."""
