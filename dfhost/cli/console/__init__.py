"""What a host shows while it runs: log events of threads and workers in, lines at the terminal and in a file out."""
