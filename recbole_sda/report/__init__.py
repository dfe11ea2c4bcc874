"""What people look at: pictures and pages from what runs have written."""
