"""Pages in HTML: the report of a run, and the viewer of search trees."""
