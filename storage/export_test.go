package storage

import (
	"context"
	"database/sql"

	"gorm.io/gorm"
)

// Asked is a query that the store asked.
type Asked struct {
	Query string
	Args  []any
}

// Listen lets a store say what it reads, outside of changes.
func Listen(s *Store, hear func(Asked)) {
	s.read.Statement.ConnPool = &heard{s.read.Statement.ConnPool, hear}
}

// Explain asks the database how it would answer.
func Explain(ctx context.Context, s *Store, prefix string, a Asked) ([]map[string]string, error) {
	rows, err := s.read.Statement.ConnPool.QueryContext(ctx, prefix+a.Query, a.Args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var plan []map[string]string
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		line := make(map[string]string)
		for i, name := range columns {
			line[name] = values[i].String
		}
		plan = append(plan, line)
	}
	return plan, rows.Err()
}

// heard is a connection that tells what it is asked.
type heard struct {
	gorm.ConnPool
	hear func(Asked)
}

func (h *heard) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	h.hear(Asked{query, args})
	return h.ConnPool.QueryContext(ctx, query, args...)
}

// ViewsQuery lets a test read how databases answer it.
var ViewsQuery = viewsQuery
