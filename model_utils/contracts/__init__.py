"""What goes in and what comes out of each analysis: frozen requests and results, without torch."""
