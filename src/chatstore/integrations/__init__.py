"""chatstore's stores as the frameworks' own interfaces have them: a file for each, an extra for each."""
