"""The parts of the command line: its options, what it reads, how it runs, what it prints, and its sessions."""
