"""What people look at: the activity of projects, one trace as a whole, one span in full."""
