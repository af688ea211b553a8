"""The commands of `tidewaiter`, one module per noun. Each parses, calls one step and prints."""
