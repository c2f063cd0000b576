package storage

// ViewsQuery lets a test read how databases answer it.
var ViewsQuery = viewsQuery
