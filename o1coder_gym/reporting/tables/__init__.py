"""Tables of results: in the terminal, and for spreadsheets, papers and data frames."""
