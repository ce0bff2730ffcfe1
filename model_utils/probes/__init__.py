"""Analyses over many items: items -> scores of both models -> paired differences with intervals -> examples to look at."""
