"""What training minimises: one file a family, one literal table."""
