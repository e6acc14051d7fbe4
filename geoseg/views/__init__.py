"""Pictures for people: nothing here is needed to make a map."""
