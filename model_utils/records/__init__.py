"""Records of analyses in sessions whose chain of hashes shows every change: what another person can verify."""
