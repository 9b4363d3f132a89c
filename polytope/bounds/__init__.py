"""What is decided without listing regions: intervals and linear bounds."""
